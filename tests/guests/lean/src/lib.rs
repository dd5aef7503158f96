//! Has the lean hooks, and answers what its configuration says.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package relay:test;
        world lean {
            include relay:plugin/host@0.1.0;
            export relay:plugin/lean-filter@0.1.0;
            export relay:plugin/lean-transform@0.1.0;
            export relay:plugin/transform@0.1.0;
        }
    ",
    world: "relay:test/lean",
    generate_all,
});

use exports::relay::plugin::{lean_filter, lean_transform, transform};
use relay::plugin::types::{Event, Fault};
use relay::plugin::{call, config};

const NAMES: [&str; 7] = [
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "myext",
];

struct Lean;

impl lean_filter::Guest for Lean {
    fn filter(_: u32) -> Result<lean_filter::Decision, Fault> {
        Ok(match config::value("/drop") {
            Some(reason) => lean_filter::Decision::Drop(reason),
            None => lean_filter::Decision::Keep,
        })
    }
}

impl lean_transform::Guest for Lean {
    fn transform(data: u32) -> Result<lean_transform::Outcome, Fault> {
        let steps = config::value("/steps").unwrap_or_default();
        Ok(lean_transform::Outcome::Edited(match steps.as_str() {
            "\"attributes\"" => attributes(data),
            "\"stale\"" => attributes(data + 1),
            "\"many\"" => format!("[{}\"remove\",\"\"]", "\"remove\",\"\",".repeat(90_000)),
            "\"flood\"" => format!("[{}\"remove\",\"/a\"]", "\"remove\",\"/a\",".repeat(1 << 18)),
            "\"nothing\"" => String::new(),
            _ => steps,
        }))
    }
}

/// What is known of the event, as members of the payload.
fn attributes(data: u32) -> String {
    let told = NAMES.map(|name| match call::attribute(data, name) {
        Some(value) => format!("\"set-value\",\"/{name}\",\"{value}\""),
        None => format!("\"set-value\",\"/{name}\",null"),
    });
    format!("[{}]", told.join(","))
}

impl transform::Guest for Lean {
    fn transform(_: Event) -> Result<transform::Outcome, Fault> {
        Err(Fault::Invalid("the lean form is the one to call".to_owned()))
    }
}

export!(Lean);
