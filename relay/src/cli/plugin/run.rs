//! `relay plugin run`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::build::ended;
use super::given::{Given, tell_lacking};
use super::host::Host;
use super::subject::Subject;
use crate::model::draft::Draft;
use crate::model::event::is_json;
use crate::model::id::{DeliveryId, TenantId};
use crate::model::plugin::{Limits, OnFault, PluginUse};
use crate::model::secret::Secret;
use crate::plugins::fixtures::{Fixture, GivenAnswer, GivenEvent, GivenRequest, Replies};
use crate::plugins::{AuthRequest, Authenticated, Bound, Call, Chain, Chained, Fault, Owner, Plugins, Ran};
use crate::store::Named;

#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    /// A stock plugin's name, a file, or the folder of a plugin's source
    plugin: String,
    /// The file with the event or fixture
    event: PathBuf,
    #[command(flatten)]
    given: Given,
}

const CALL: Call<'_> = Call {
    source: None,
    delivery: Some(DeliveryId::from_raw(0)),
    attempt: 1,
};

impl Run {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut given = Fixture::read_scene(&self.event)?;
        self.given.put_into(&mut given)?;
        let component = Subject::of(&self.plugin)?.component().await?;
        let host = Host::new()?;
        // One that cannot be read is refused when it is bound.
        let manifest = Plugins::inspect(&component.bytes, &component.name).map(|found| found.manifest);
        let manifest = manifest.unwrap_or_default();
        tell_lacking(&manifest, &given);
        let granted = manifest.all_granted();
        let used = PluginUse {
            name: component.name,
            pin: None,
            config: given.config.clone(),
            secrets: given
                .secrets
                .iter()
                .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
                .collect(),
            granted,
            limits: Limits::default(),
            reuse: false,
        };
        let bound = host
            .plugins
            .with_services(Replies::repeated(&given.http, given.judge.as_deref()))
            .bind_component(component.bytes, &used, owner())
            .await?;
        let (shown, is_well) = match (given.request, given.event, given.answer) {
            (Some(request), ..) => authenticate(&bound, &request).await,
            (None, Some(event), Some(answer)) => respond(&bound, &event, &answer).await,
            (None, Some(event), None) => transform(bound, &event).await,
            (None, None, _) => bail!("{} holds neither an event nor a request", self.event.display()),
        };
        println!("{}", serde_json::to_string_pretty(&shown)?);
        Ok(ended(is_well))
    }
}

/// Nobody, for whom a plugin is tried.
pub(super) fn owner() -> Owner {
    Owner {
        tenant: TenantId::DEFAULT,
        tenant_name: "default".to_owned(),
        kind: Named::Endpoint,
        id: 0,
        name: "trial".to_owned(),
    }
}

async fn transform(bound: Bound, given: &GivenEvent) -> (Value, bool) {
    let event = Arc::new(given.event());
    let ran = Chain::new(vec![bound], OnFault::DeadLetter)
        .run(&event, CALL)
        .await;
    (show(&ran), !matches!(ran.result, Chained::Fault { .. }))
}

async fn respond(bound: &Bound, event: &GivenEvent, given: &GivenAnswer) -> (Value, bool) {
    match bound
        .respond(&Arc::new(event.event()), given.answer(), CALL)
        .await
    {
        Ok(answer) => {
            let shown = json!({
                "status": answer.status,
                "headers": answer.headers,
                "body": String::from_utf8_lossy(&answer.body),
            });
            (shown, true)
        }
        Err(fault) => (broke(&fault), false),
    }
}

async fn authenticate(bound: &Bound, given: &GivenRequest) -> (Value, bool) {
    let headers = given.headers();
    let request = AuthRequest {
        method: &given.method,
        path: &given.path,
        query: &given.query,
        remote: None,
        headers: &headers,
        body: given.body(),
    };
    match bound.authenticate(&request).await {
        Authenticated::Accept(identity) => (json!({"accept": true, "attributes": identity.attributes}), true),
        Authenticated::Reject { status, reason } => (json!({"reject": status, "reason": reason}), true),
        Authenticated::Answer {
            status,
            headers,
            body,
        } => (
            json!({"answer": status, "headers": headers, "body": String::from_utf8_lossy(&body)}),
            true,
        ),
        Authenticated::Fault(fault) => (broke(&fault), false),
    }
}

fn broke(fault: &Fault) -> Value {
    json!({"fault": fault.kind, "message": fault.message, "stderr": fault.stderr})
}

fn show(ran: &Ran) -> Value {
    let mut shown = match &ran.result {
        Chained::Emit(drafts) => json!({"emit": drafts.iter().map(show_draft).collect::<Vec<_>>()}),
        Chained::Drop { reason, .. } => json!({"drop": reason}),
        Chained::Fault {
            fault,
            message,
            stderr,
            ..
        } => json!({"fault": fault, "message": message, "stderr": stderr}),
    };
    shown["log"] = json!(ran.log);
    shown["cost_us"] = json!(ran.costs.iter().map(|cost| cost.duration_us).sum::<u64>());
    shown
}

pub(super) fn show_draft(draft: &Draft) -> Value {
    let json = is_json(draft.envelope.content_type.as_deref())
        .then(|| serde_json::from_slice(&draft.data).ok())
        .flatten();
    let data: Value =
        json.unwrap_or_else(|| Value::String(String::from_utf8_lossy(&draft.data).into_owned()));
    json!({"type": draft.envelope.kind, "content_type": draft.envelope.content_type, "headers": draft.headers_set, "data": data})
}
