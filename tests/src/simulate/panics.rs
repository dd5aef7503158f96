//! A panic in a task of the relay breaks a promise, wherever tokio would hide it.

use std::cell::RefCell;
use std::sync::{Arc, Once};

use super::world::World;

thread_local! {
    static WATCHER: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// Panics of this thread break the world's promises while the guard lives.
pub(super) fn watch(world: Arc<World>) -> Watching {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let world = WATCHER.with(|watcher| watcher.try_borrow().ok().and_then(|world| world.clone()));
            match world {
                Some(world) => world.broken(format!("a panic: {panic}")),
                None => before(panic),
            }
        }));
    });
    WATCHER.with(|watcher| *watcher.borrow_mut() = Some(world));
    Watching
}

pub(super) struct Watching;

impl Drop for Watching {
    fn drop(&mut self) {
        WATCHER.with(|watcher| *watcher.borrow_mut() = None);
    }
}
