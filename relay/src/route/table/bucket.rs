//! Routes to endpoints that want the same event types: those whose filters ask for a text by name are
//! found by that text, so that of ten thousand, each for a customer of its own, an event is held
//! against one.

use std::sync::Arc;

use rpds::HashTrieMapSync;

use super::{Found, Route};
use crate::route::filter::{Key, texts_at};
use crate::route::type_index::Bucket;
use crate::route::view::View;

type Routes = Vec<Arc<Route>>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Filtered {
    /// Those that have to be held against every event.
    plain: Routes,
    /// By the path of a key, and by its texts.
    keyed: HashTrieMapSync<Vec<String>, HashTrieMapSync<String, Routes>>,
}

impl Filtered {
    /// Appends the routes whose filters have to be held against an event.
    pub(super) fn find<'t>(&'t self, view: &View<'_>, found: &mut Found<'t>) {
        found.extend(&self.plain);
        for (path, by_text) in self.keyed.iter() {
            for text in texts_at(view, path) {
                found.extend(by_text.get(text).into_iter().flatten());
            }
        }
    }

    /// The key that fewest others share, at worst: one that all have tells nothing apart.
    fn rarest<'r>(&self, route: &'r Route) -> Option<&'r Key> {
        let shared = |key: &&Key| {
            let by_text = self.keyed.get(&key.path);
            let count = |text| by_text.and_then(|by_text| by_text.get(text)).map_or(0, Vec::len);
            key.texts.iter().map(count).max()
        };
        route.keys.iter().min_by_key(shared)
    }
}

/// Takes a route from those of a text, if it is among them; else nothing is copied.
fn leave_at(by_text: &mut HashTrieMapSync<String, Routes>, text: &str, route: &Arc<Route>) {
    let is_there = |routes: &Routes| routes.binary_search(route).is_ok();
    if !by_text.get(text).is_some_and(is_there) {
        return;
    }
    if let Some(routes) = by_text.get_mut(text) {
        routes.leave(route);
        if routes.is_empty() {
            by_text.remove_mut(text);
        }
    }
}

impl Bucket for Filtered {
    type Member = Arc<Route>;

    fn enter(&mut self, route: &Arc<Route>) {
        // Entered before, by another pattern.
        self.leave(route);
        let Some(key) = self.rarest(route) else {
            self.plain.enter(route);
            return;
        };
        let mut by_text = self.keyed.get(&key.path).cloned().unwrap_or_default();
        for text in &key.texts {
            match by_text.get_mut(text) {
                Some(routes) => routes.enter(route),
                None => by_text.insert_mut(text.clone(), vec![Arc::clone(route)]),
            }
        }
        self.keyed.insert_mut(key.path.clone(), by_text);
    }

    fn leave(&mut self, route: &Arc<Route>) {
        if route.keys.is_empty() {
            self.plain.leave(route);
        }
        // Which of them was the rarest when it came is not known any more.
        for key in &route.keys {
            let Some(mut by_text) = self.keyed.get(&key.path).cloned() else {
                continue;
            };
            for text in &key.texts {
                leave_at(&mut by_text, text, route);
            }
            if by_text.is_empty() {
                self.keyed.remove_mut(&key.path);
            } else {
                self.keyed.insert_mut(key.path.clone(), by_text);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.keyed.is_empty()
    }
}
