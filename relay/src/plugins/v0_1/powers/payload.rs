//! `payload`: the bytes that the relay holds, handed out piece by piece.
//!
//! Registered by hand, because the generated trait would copy every payload twice.

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::plugins::json;
use crate::plugins::json::pointer::Pointer;
use crate::plugins::v0_1::lower::{SharedBytes, SharedText};
use crate::plugins::visit::Visit;

/// Offers the interface.
pub(in crate::plugins::v0_1) fn add_to_linker(linker: &mut Linker<Visit>) -> wasmtime::Result<()> {
    let mut payload = linker.instance("relay:plugin/payload@0.1.0")?;
    payload.func_wrap("size", |mut cx: StoreContextMut<'_, Visit>, (of,): (u32,)| {
        let size = held(&mut cx, of)?.len();
        Ok((u32::try_from(size).unwrap_or(u32::MAX),))
    })?;
    payload.func_wrap("bytes", |mut cx: StoreContextMut<'_, Visit>, (of,): (u32,)| {
        Ok((SharedBytes(held(&mut cx, of)?.clone()),))
    })?;
    payload.func_wrap("text", |mut cx: StoreContextMut<'_, Visit>, (of,): (u32,)| {
        Ok((SharedText::new(held(&mut cx, of)?.clone()),))
    })?;
    payload.func_wrap(
        "slice",
        |mut cx: StoreContextMut<'_, Visit>, (of, offset, length): (u32, u32, u32)| {
            Ok((SharedBytes(slice(held(&mut cx, of)?, offset, length)),))
        },
    )?;
    payload.func_wrap(
        "json",
        |mut cx: StoreContextMut<'_, Visit>, (of, pointer): (u32, String)| {
            Ok((value(held(&mut cx, of)?, &pointer).and_then(SharedText::new),))
        },
    )
}

fn held<'v>(cx: &'v mut StoreContextMut<'_, Visit>, of: u32) -> wasmtime::Result<&'v Bytes> {
    let visit = cx.data_mut();
    visit.count_host_call()?;
    visit
        .blob(of)
        .ok_or_else(|| wasmtime::Error::msg(format!("there is no payload {of} in this call")))
}

fn slice(bytes: &Bytes, offset: u32, length: u32) -> Bytes {
    let start = bytes.len().min(offset as usize);
    let end = bytes.len().min(start.saturating_add(length as usize));
    bytes.slice(start..end)
}

fn value(bytes: &Bytes, pointer: &str) -> Option<Bytes> {
    let text = std::str::from_utf8(bytes).ok()?;
    let found = json::find(text, &Pointer::parse(pointer).ok()?)?;
    Some(bytes.slice_ref(found.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_end_where_the_payload_does() {
        let bytes = Bytes::from_static(b"abcdef");
        for (offset, length, expected) in [
            (0, 2, "ab"),
            (4, 9, "ef"),
            (6, 1, ""),
            (u32::MAX, u32::MAX, ""),
            (1, u32::MAX, "bcdef"),
        ] {
            assert_eq!(slice(&bytes, offset, length), expected);
        }
    }

    #[test]
    fn values_share_the_payload_and_malformed_pointers_find_nothing() {
        let bytes = Bytes::from_static(br#"{"a":{"b":1.50}}"#);
        assert_eq!(value(&bytes, "/a/b").as_deref(), Some(&b"1.50"[..]));
        assert_eq!(value(&bytes, "").as_deref(), Some(&bytes[..]));
        for pointer in ["a", "/a~", "/x", "//"] {
            assert_eq!(value(&bytes, pointer), None, "{pointer}");
        }
        assert_eq!(value(&Bytes::from_static(b"\xff"), ""), None);
    }
}
