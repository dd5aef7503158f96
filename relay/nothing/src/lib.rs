//! Does nothing: `relay plugin bench` shows what a call costs by itself.

use relay_sdk::prelude::*;

struct Nothing;

#[plugin]
impl Nothing {
    fn authenticate(_request: &Request) -> Verdict {
        Verdict::accept()
    }

    fn filter(_event: &Event) -> bool {
        true
    }

    fn transform(_event: &Event) -> Outcome {
        Outcome::Keep
    }

    fn respond(_event: &Event, _answer: &Answer) -> Reply {
        Reply::same()
    }
}
