//! `secrets`: named secrets that the operator granted.

use crate::plugins::keys::{Piece, Work, Worked};
use crate::plugins::v0_1::bindings::relay::plugin::secrets::{Host, SecretError};
use crate::plugins::visit::Visit;

impl Host for Visit {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<String, SecretError>> {
        self.count_host_call()?;
        Ok(match work(self, name, Work::Reveal, Vec::new()).await? {
            Ok(Worked::Text(text)) => Ok(text),
            Ok(other) => return Err(mismatch(&other)),
            Err(error) => Err(error),
        })
    }
}

/// Has something done with a granted secret.
pub(super) async fn work(
    visit: &mut Visit,
    name: String,
    work: Work,
    message: Vec<Piece>,
) -> wasmtime::Result<Result<Worked, SecretError>> {
    let (grants, call) = (visit.grants.clone(), visit.origin.call);
    let worked = match &grants.keys {
        Some(keys) => keys.work(call, name.clone(), work, message).await,
        None => Ok(grants.secret(&name).map(|secret| {
            let pieces: Vec<&[u8]> = message.iter().map(|piece| piece.bytes.as_ref()).collect();
            work.with(secret, &pieces)
        })),
    };
    match worked {
        Ok(worked) => Ok(worked.ok_or(SecretError::NotGranted(name))),
        Err(fault) => Err(visit.stop(fault)),
    }
}

/// Whoever has the secrets answered something else than it was asked.
pub(super) fn mismatch(worked: &Worked) -> wasmtime::Error {
    let found = match worked {
        Worked::Text(_) => "a text",
        Worked::Bytes(_) => "bytes",
        Worked::Verdict(_) => "a verdict",
    };
    wasmtime::Error::msg(format!("the relay answered {found}, which was not asked"))
}
