//! What one visit to a plugin is for, and what came of it: the same wherever plugins run.

use std::sync::Arc;

use super::doors::{Authenticated, Problem};
use super::fault::Fault;
use super::instance::Instance;
use super::manifest::Hooks;
use super::subject::{Asked, Stamps, Subject, Working};
use super::v0_1::{Reply, RequestLine, Transformed};
use crate::model::attempt::FaultKind;

/// What a visit is for.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// These of the hooks `filter` and `transform`, in that order.
    Pass {
        event: Working,
        hooks: Hooks,
    },
    Authenticate {
        asked: Arc<Asked>,
        line: RequestLine,
    },
    Respond {
        event: Working,
        answer: Arc<Asked>,
        status: u16,
    },
    CheckConfig,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Passed(Transformed),
    Authenticated(Authenticated),
    Replied(Reply),
    Checked(Vec<Problem>),
}

impl Job {
    /// What the plugin looks at meanwhile.
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Pass { event, .. } => Subject::Event(event.clone()),
            Self::Authenticate { asked, .. } => Subject::Request(asked.clone()),
            Self::Respond { event, answer, .. } => Subject::Answer(event.clone(), answer.clone()),
            Self::CheckConfig => Subject::None,
        }
    }

    /// Does it with an instance that looks at the subject.
    pub(super) async fn run(self, instance: &mut Instance, config: &str) -> Result<Done, Fault> {
        match self {
            Self::Pass { event, hooks } => filter_and_transform(instance, &event, hooks)
                .await
                .map(Done::Passed),
            Self::Authenticate { line, .. } => instance.authenticate(line).await.map(Done::Authenticated),
            Self::Respond { event, status, .. } => instance
                .respond(&event, &event.stamps(), status)
                .await
                .map(Done::Replied),
            Self::CheckConfig => instance.check_config(config).await.map(Done::Checked),
        }
    }
}

/// Lets the plugin filter, then transform, one event.
pub(super) async fn filter_and_transform(
    instance: &mut Instance,
    event: &Working,
    hooks: Hooks,
) -> Result<Transformed, Fault> {
    // Lean hooks ask for them.
    let stamps = match instance.is_lean(hooks) {
        true => Stamps::default(),
        false => event.stamps(),
    };
    if hooks.filter
        && let Some(reason) = instance.filter(event, &stamps).await?
    {
        return Ok(Transformed::Drop(reason));
    }
    if hooks.transform {
        instance.transform(event, &stamps).await
    } else {
        Ok(Transformed::Keep)
    }
}

impl Done {
    pub(super) fn passed(self) -> Result<Transformed, Fault> {
        match self {
            Self::Passed(transformed) => Ok(transformed),
            other => Err(other.is_no_answer()),
        }
    }

    pub(super) fn authenticated(self) -> Result<Authenticated, Fault> {
        match self {
            Self::Authenticated(verdict) => Ok(verdict),
            other => Err(other.is_no_answer()),
        }
    }

    pub(super) fn replied(self) -> Result<Reply, Fault> {
        match self {
            Self::Replied(reply) => Ok(reply),
            other => Err(other.is_no_answer()),
        }
    }

    pub(super) fn checked(self) -> Result<Vec<Problem>, Fault> {
        match self {
            Self::Checked(problems) => Ok(problems),
            other => Err(other.is_no_answer()),
        }
    }

    /// Only a worker that lies answers something else than it was asked.
    fn is_no_answer(&self) -> Fault {
        Fault::new(
            FaultKind::Unavailable,
            "the process that runs plugins answered something else than it was asked".to_owned(),
        )
    }
}
