//! Triggers, acknowledges and resolves PagerDuty incidents, for
//! `https://events.pagerduty.com/v2/enqueue`, the
//! [Events API v2](https://developer.pagerduty.com/docs/send-alert-event).

use relay_sdk::notify::{Field, Rule, is_address};
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, cut, verbatim};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// PagerDuty's limits, in characters.
const SUMMARY_MAX: usize = 1_024;
const DEDUP_KEY_MAX: usize = 255;
/// Longest text of a link that can still be read, in characters.
const LINK_TITLE_MAX: usize = 100;
/// Longest value of a detail, in characters: with 50 of them an event stays below the 512 KB
/// that PagerDuty takes.
const DETAIL_MAX: usize = 2_000;

struct NotifyPagerduty;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    summary: Template,
    #[serde(default)]
    action: Action,
    #[serde(default)]
    actions: Vec<Rule<Action>>,
    dedup_key: Option<Template>,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    severities: Vec<Rule<Severity>>,
    source: Option<Template>,
    component: Option<Template>,
    group: Option<Template>,
    class: Option<Template>,
    #[serde(default)]
    details: Vec<Field>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Trigger,
    Acknowledge,
    Resolve,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Critical,
    #[default]
    Error,
    Warning,
    Info,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    title: Template,
    url: Template,
}

/// The body that PagerDuty takes. An incident that ends needs no more than its key.
#[derive(Serialize)]
struct Enqueued {
    routing_key: String,
    event_action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedup_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Incident>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Value>,
}

#[derive(Serialize)]
struct Incident {
    summary: String,
    source: String,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_details: Map<String, Value>,
}

#[plugin]
impl NotifyPagerduty {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let action = *Rule::choice(&config.actions, event).unwrap_or(&config.action);
        let is_new = action == Action::Trigger;
        Ok(Message::json(Enqueued {
            routing_key: secrets::get("pagerduty-routing-key")?,
            event_action: action,
            dedup_key: config.dedup_key(event, action)?,
            payload: is_new.then(|| config.incident(event)).transpose()?,
            links: if is_new { config.links(event) } else { Vec::new() },
        }))
    }

    fn check(config: Config) -> Vec<Problem> {
        let is_always_new = config.action == Action::Trigger
            && config.actions.iter().all(|rule| *rule.then() == Action::Trigger);
        if is_always_new || config.dedup_key.is_some() {
            return Vec::new();
        }
        vec![Problem::new(
            "/dedup_key",
            "is needed to acknowledge or resolve: it says which incident",
        )]
    }
}

impl Config {
    fn dedup_key(&self, event: &Event, action: Action) -> Result<Option<String>, Fault> {
        let Some(template) = &self.dedup_key else {
            return Ok(None);
        };
        match template.render_some(event, verbatim) {
            // Cut, two incidents could become one.
            Some(key) if key.chars().count() > DEDUP_KEY_MAX => Err(Fault::invalid(format!(
                "dedup_key has more than the {DEDUP_KEY_MAX} characters that PagerDuty takes"
            ))),
            None if action != Action::Trigger => Err(Fault::invalid(
                "dedup_key is empty once its variables are filled in: nothing says which incident is meant",
            )),
            key => Ok(key),
        }
    }

    fn incident(&self, event: &Event) -> Result<Incident, Fault> {
        let some = |template: &Option<Template>| template.as_ref()?.render_some(event, verbatim);
        let summary = self
            .summary
            .render_some(event, verbatim)
            .or_invalid("summary is empty once its variables are filled in: PagerDuty takes none")?;
        let detail = |field: &Field| {
            let value = field.value.render_some(event, verbatim)?;
            Some((field.title.clone(), cut(value, DETAIL_MAX).into()))
        };
        Ok(Incident {
            summary: cut(summary, SUMMARY_MAX),
            source: some(&self.source).unwrap_or_else(|| event.source().to_owned()),
            severity: *Rule::choice(&self.severities, event).unwrap_or(&self.severity),
            timestamp: event.time().map(str::to_owned),
            component: some(&self.component),
            group: some(&self.group),
            class: some(&self.class),
            custom_details: self.details.iter().filter_map(detail).collect(),
        })
    }

    /// The links that lead to a web address.
    fn links(&self, event: &Event) -> Vec<Value> {
        let link = |link: &Link| {
            let href = link
                .url
                .render_some(event, verbatim)
                .filter(|url| is_address(url))?;
            Some(json!({ "href": href, "text": cut(link.title.render(event), LINK_TITLE_MAX) }))
        };
        self.links.iter().filter_map(link).collect()
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<NotifyPagerduty>();
    }

    #[test]
    fn whatever_an_event_holds_pagerduty_takes_the_size() {
        let details: Vec<_> = (0..50)
            .map(|n| json!({ "title": format!("detail {n}"), "value": "{{/long}}" }))
            .collect();
        let config = json!({ "summary": "{{/long}}", "details": details });
        let host = Host::new().config(config).secret("pagerduty-routing-key", "r");
        let sample = event("a").data(json!({ "long": "😀".repeat(50_000) }));
        let sent = host.transform::<NotifyPagerduty>(sample).unwrap();
        assert!(
            sent.message().body.len() < 512_000,
            "{}",
            sent.message().body.len()
        );
    }
}
