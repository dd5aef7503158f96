//! {{description}}.

use relay_sdk::prelude::*;

struct {{struct}};

#[plugin]
impl {{struct}} {
    fn respond(event: &Event, answer: &Answer) -> Result<Reply, Fault> {
        let edits = answer.edit().set("/about", event.event_type()).remove("/internal");
        Ok(edits.set_header("x-handled-by", "{{name}}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures() {
        relay_sdk::testing::fixtures::<{{struct}}>();
    }
}
