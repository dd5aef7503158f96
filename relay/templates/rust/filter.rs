//! {{description}}.

use relay_sdk::prelude::*;

struct {{struct}};

#[plugin]
impl {{struct}} {
    fn filter(event: &Event) -> Result<Decision, Fault> {
        let is_test = event.get::<bool>("/test") == Some(true);
        Ok(Decision::keep_if(!is_test, "a test"))
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
