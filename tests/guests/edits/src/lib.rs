//! Changes two members of a payload: what a call costs at least.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/transformer", generate_all });

use exports::relay::plugin::transform::{Guest, Message, Outcome};
use relay::plugin::types::{Data, Edit, Event, Fault};

struct Edits;

impl Guest for Edits {
    fn transform(_: Event) -> Result<Outcome, Fault> {
        let edits = vec![
            Edit::Set(("/processed_by".to_owned(), "\"relay\"".to_owned())),
            Edit::Remove("/debug".to_owned()),
        ];
        Ok(Outcome::Emit(vec![Message {
            changes: Vec::new(),
            data: Data::Edits(edits),
        }]))
    }
}

export!(Edits);
