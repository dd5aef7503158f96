//! The `#[plugin]` attribute of `relay-sdk`.

mod hook;
mod manifest;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemImpl, Result, Type};

use hook::Hook;

/// Exports the hooks among the functions of an `impl`.
#[proc_macro_attribute]
pub fn plugin(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(arguments.into(), item.into())
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(
            arguments,
            "#[plugin] takes no arguments: settings belong in plugin.toml",
        ));
    }
    let item: ItemImpl = syn::parse2(item)?;
    let plugin = name(&item)?;
    let hooks = Hook::all(&item)?;
    let implementation = implementation(plugin, &hooks)?;
    let exports = hooks.iter().map(|hook| hook.export(plugin));
    Ok(quote! {
        #item
        #implementation
        #(#exports)*
    })
}

/// The name of the struct; the export macros take nothing else.
fn name(item: &ItemImpl) -> Result<&syn::Ident> {
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new_spanned(
            path,
            "#[plugin] goes on an `impl` without a trait",
        ));
    }
    match &*item.self_ty {
        Type::Path(path) if item.generics.params.is_empty() => path.path.get_ident(),
        _ => None,
    }
    .ok_or_else(|| {
        Error::new_spanned(
            &item.self_ty,
            "a plugin is a plain struct of this module, without parameters",
        )
    })
}

fn implementation(plugin: &syn::Ident, hooks: &[Hook<'_>]) -> Result<TokenStream> {
    let manifest = manifest::read().map_err(|fault| Error::new_spanned(plugin, fault))?;
    let (json, length, bytes) = (&manifest.json, manifest.json.len(), manifest.literal());
    let files = &manifest.files;
    let names = hooks.iter().map(Hook::name);
    let functions = hooks.iter().map(|hook| hook.function(plugin));
    Ok(quote! {
        impl ::relay_sdk::Plugin for #plugin {
            const MANIFEST: &'static str = #json;
            const HOOKS: &'static [&'static str] = &[#(#names),*];
            #(#functions)*
        }

        // Named here so that the compiler builds again when they change.
        #(const _: &[u8] = ::core::include_bytes!(#files);)*

        // Natively nothing exports the plugin, which is no reason to call it unused.
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = ::relay_sdk::__private::used::<#plugin>();

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(link_section = "relay:manifest")]
            static MANIFEST: [u8; #length] = *#bytes;
        };
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(TokenStream::new(), item).unwrap_err().to_string()
    }

    #[test]
    fn only_the_hooks_that_are_there_are_exported() {
        let item = quote!(impl Tidy {
            fn filter(event: &Event) -> bool { helper() }
            fn helper() -> bool { true }
        });
        let code = expand(TokenStream::new(), item).unwrap().to_string();
        assert!(code.contains("filterer :: export"), "{code}");
        for absent in ["transformer", "authenticator", "responder", "checker"] {
            assert!(!code.contains(absent), "{absent} in {code}");
        }
    }

    #[test]
    fn misuse_is_told_in_one_sentence() {
        for (item, expected) in [
            (
                quote!(impl Tidy { fn helper() {} }),
                "name a function authenticate, filter, transform, respond or check",
            ),
            (
                quote!(impl Tidy { fn filter(&self) -> bool { true } }),
                "a hook has no `self`",
            ),
            (
                quote!(impl Tidy { async fn filter(event: &Event) -> bool { true } }),
                "a hook is not async",
            ),
            (
                quote!(impl Tidy { fn filter() -> bool { true } }),
                "`filter` takes an event",
            ),
            (
                quote!(impl Tidy { fn respond(event: &Event) -> Reply {} }),
                "`respond` takes an event and the answer",
            ),
            (
                quote!(impl Tidy { fn check(a: A, b: B) -> Vec<Problem> {} }),
                "`check` takes the configuration",
            ),
            (quote!(impl Clone for Tidy {}), "without a trait"),
            (
                quote!(impl Tidy<u8> { fn filter(event: &Event) -> bool { true } }),
                "without parameters",
            ),
        ] {
            let refusal = refusal(item);
            assert!(refusal.contains(expected), "{refusal}");
        }
    }
}
