//! Lets every event through, and takes payloads apart itself: what calls cost.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package relay:test;
        world parses {
            include relay:plugin/host@0.1.0;
            export relay:plugin/lean-filter@0.1.0;
            export relay:plugin/lean-transform@0.1.0;
        }
    ",
    world: "relay:test/parses",
    generate_all,
});

use exports::relay::plugin::{lean_filter, lean_transform};
use relay::plugin::payload;
use relay::plugin::types::{Data, Fault};
use serde_json::{Map, Value};

struct Parses;

impl lean_filter::Guest for Parses {
    fn filter(_: u32) -> Result<lean_filter::Decision, Fault> {
        Ok(lean_filter::Decision::Keep)
    }
}

impl lean_transform::Guest for Parses {
    fn transform(data: u32) -> Result<lean_transform::Outcome, Fault> {
        let invalid = |error: serde_json::Error| Fault::Invalid(error.to_string());
        let mut members: Map<String, Value> =
            serde_json::from_slice(&payload::bytes(data)).map_err(invalid)?;
        members.insert("processed_by".to_owned(), Value::from("relay"));
        members.remove("debug");
        Ok(lean_transform::Outcome::Emit(vec![lean_transform::Message {
            changes: Vec::new(),
            data: Data::Text(serde_json::to_string(&members).map_err(invalid)?),
        }]))
    }
}

export!(Parses);
