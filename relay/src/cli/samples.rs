//! What platforms post, in values of our own: the demo plays it, the packs show it.

macro_rules! samples {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../samples/", $name, ".json")))),*]
    };
}

const SAMPLES: &[(&str, &str)] = samples![
    "calls-call-completed",
    "calls-call-failed",
    "calls-contact-created",
    "mumara-bounced",
    "mumara-delivered",
    "mumara-newsletter-clicked",
    "mumble-message-image",
    "mumble-message-text",
    "mumble-status-closed",
    "vambe-message-received",
    "vambe-stage-changed",
    "vambe-ticket-created",
    "whatsable-message-document",
    "whatsable-message-text",
];

/// Every sample with its name.
pub(super) const fn all() -> &'static [(&'static str, &'static str)] {
    SAMPLES
}

/// The sample of that name.
pub(super) fn text(name: &str) -> &'static str {
    let found = SAMPLES.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, text)| *text)
        .expect("samples are named here alone")
}
