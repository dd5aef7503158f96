//! Values that cross into a plugin without being copied on the host first.

use std::mem::MaybeUninit;

use bytes::Bytes;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext};
use wasmtime::component::{ComponentType, Lower};

/// The record `event`, borrowed.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(in crate::plugins) struct EventRecord<'a> {
    pub(in crate::plugins) id: &'a str,
    pub(in crate::plugins) source: &'a str,
    #[component(name = "type")]
    pub(in crate::plugins) kind: &'a str,
    pub(in crate::plugins) subject: Option<&'a str>,
    pub(in crate::plugins) time: Option<&'a str>,
    #[component(name = "content-type")]
    pub(in crate::plugins) content_type: Option<&'a str>,
    pub(in crate::plugins) data: u32,
}

/// Shared bytes as a `list<u8>`.
pub(super) struct SharedBytes(pub(super) Bytes);

impl SharedBytes {
    fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// Shared bytes as a `string`; made only of what is UTF-8.
pub(super) struct SharedText(Bytes);

impl SharedText {
    pub(super) fn new(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    fn as_str(&self) -> &str {
        // Checked when it was made; checking again costs less than a line of unsafe code.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

macro_rules! lower_as {
    ($shared:ty, $plain:ty, $view:expr) => {
        #[expect(
            unsafe_code,
            reason = "forwards to the implementation for the plain type, whose layout it takes over"
        )]
        // SAFETY: every item is that of the plain type.
        unsafe impl ComponentType for $shared {
            type Lower = <$plain as ComponentType>::Lower;

            const ABI: CanonicalAbiInfo = <$plain as ComponentType>::ABI;
            const MAY_REQUIRE_REALLOC: bool = <$plain as ComponentType>::MAY_REQUIRE_REALLOC;

            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
                <$plain as ComponentType>::typecheck(ty, types)
            }
        }

        #[expect(
            unsafe_code,
            reason = "forwards to the implementation for the plain type"
        )]
        // SAFETY: both functions are those of the plain type.
        unsafe impl Lower for $shared {
            fn linear_lower_to_flat<T>(
                &self,
                cx: &mut LowerContext<'_, T>,
                ty: InterfaceType,
                dst: &mut MaybeUninit<Self::Lower>,
            ) -> wasmtime::Result<()> {
                <$plain as Lower>::linear_lower_to_flat($view(self), cx, ty, dst)
            }

            fn linear_lower_to_memory<T>(
                &self,
                cx: &mut LowerContext<'_, T>,
                ty: InterfaceType,
                offset: usize,
            ) -> wasmtime::Result<()> {
                <$plain as Lower>::linear_lower_to_memory($view(self), cx, ty, offset)
            }
        }
    };
}

lower_as!(SharedBytes, [u8], SharedBytes::as_slice);
lower_as!(SharedText, str, SharedText::as_str);
