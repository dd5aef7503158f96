//! Version 0.1 of the plugin interface: the only module that knows the types generated from
//! `wit/`. A later version gets a sibling, converted into the same types of ours.

mod answer;
pub(super) mod edited;
mod hooks;
mod lower;
mod powers;

use wasmtime::component::{HasData, Linker};

use super::visit::Visit;

pub(super) use hooks::{Called, HookIndices, Reply, RequestLine, Transformed};
pub(super) use lower::EventRecord;
pub(super) use powers::crypto::MESSAGE_BYTES_MAX;
pub(super) use powers::http::{check_request, put_bearer};
pub(super) use powers::state::{KEY_BYTES_MAX, PAGE_KEYS_MAX, VALUE_BYTES_MAX};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "relay:plugin/known",
        imports: {
            "relay:plugin/crypto": async | trappable,
            "relay:plugin/secrets": async | trappable,
            "relay:plugin/state": async | trappable,
            "relay:plugin/http": async | trappable,
            "relay:plugin/judge": async | trappable,
            "relay:plugin/media": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

/// The version of the interface that this relay speaks.
pub(super) const VERSION: &str = "0.1.0";

struct Powers;

impl HasData for Powers {
    type Data<'a> = &'a mut Visit;
}

/// Offers every power of this version to plugins.
pub(super) fn offer(linker: &mut Linker<Visit>) -> wasmtime::Result<()> {
    use bindings::relay::plugin::{call, config, crypto, http, judge, log, media, secrets, state, types};
    types::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    call::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    log::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    config::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    secrets::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    crypto::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    state::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    http::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    media::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    judge::add_to_linker::<_, Powers>(linker, |visit| visit)?;
    powers::payload::add_to_linker(linker)
}
