//! {{description}}.

use relay_sdk::prelude::*;

struct {{struct}};

#[plugin]
impl {{struct}} {
    fn transform(event: &Event) -> Result<Outcome, Fault> {
        if event.get::<bool>("/test") == Some(true) {
            return Ok(Outcome::drop("a test"));
        }
        Ok(event.edit().set("/handled_by", "{{name}}").remove("/card").into())
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
