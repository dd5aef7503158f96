//! One hook of a plugin.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Result, Type};

/// A function that is named after a hook.
pub(crate) struct Hook<'a> {
    kind: &'static Kind,
    name: &'a Ident,
    /// The type of the argument for the configuration, if it takes one.
    config: Option<&'a Type>,
}

struct Kind {
    name: &'static str,
    /// The module of the SDK with its generated world.
    world: &'static str,
    /// The types of the SDK that it is given, beside the configuration.
    inputs: &'static [&'static str],
    answer: &'static str,
    /// What it takes, for the author.
    takes: &'static str,
}

const CHECK: &str = "check";

const KINDS: [Kind; 5] = [
    Kind {
        name: "authenticate",
        world: "authenticator",
        inputs: &["Request"],
        answer: "Verdict",
        takes: "a request: `(request: &Request)`, and perhaps its configuration",
    },
    Kind {
        name: "filter",
        world: "filterer",
        inputs: &["Event"],
        answer: "Decision",
        takes: "an event: `(event: &Event)`, and perhaps its configuration",
    },
    Kind {
        name: "transform",
        world: "transformer",
        inputs: &["Event"],
        answer: "Outcome",
        takes: "an event: `(event: &Event)`, and perhaps its configuration",
    },
    Kind {
        name: "respond",
        world: "responder",
        inputs: &["Event", "Answer"],
        answer: "Reply",
        takes: "an event and the answer: `(event: &Event, answer: &Answer)`, and perhaps its configuration",
    },
    Kind {
        name: CHECK,
        world: "checker",
        inputs: &[],
        answer: "Problem",
        takes: "the configuration: `(config: Config)`",
    },
];

impl<'a> Hook<'a> {
    /// Every hook of the `impl`.
    pub(crate) fn all(item: &'a ItemImpl) -> Result<Vec<Self>> {
        let functions = item.items.iter().filter_map(|item| match item {
            ImplItem::Fn(function) => Some(function),
            _ => None,
        });
        let hooks: Vec<Self> = functions.filter_map(Self::read).collect::<Result<_>>()?;
        if hooks.is_empty() {
            let names = "name a function authenticate, filter, transform, respond or check";
            return Err(Error::new_spanned(
                &item.self_ty,
                format!("this plugin has no hook: {names}"),
            ));
        }
        Ok(hooks)
    }

    /// `None` for a function of another name.
    fn read(function: &'a ImplItemFn) -> Option<Result<Self>> {
        let signature = &function.sig;
        let kind = KINDS.iter().find(|kind| signature.ident == kind.name)?;
        let refusal = |message: String| Some(Err(Error::new_spanned(signature, message)));
        if signature.receiver().is_some() {
            return refusal("a hook has no `self`: an instance may serve one event only".into());
        }
        if signature.asyncness.is_some() {
            return refusal("a hook is not async: the relay runs others while it waits".into());
        }
        let arguments: Vec<&Type> = signature.inputs.iter().filter_map(typed).collect();
        let config = arguments.get(kind.inputs.len()).copied();
        let fits = match kind.name {
            CHECK => arguments.len() == 1,
            _ => (kind.inputs.len()..=kind.inputs.len() + 1).contains(&arguments.len()),
        };
        if !fits {
            return refusal(format!("`{}` takes {}", kind.name, kind.takes));
        }
        Some(Ok(Self {
            kind,
            name: &signature.ident,
            config,
        }))
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name
    }

    /// The hook as a function of the SDK's trait.
    pub(crate) fn function(&self, plugin: &Ident) -> TokenStream {
        if self.kind.name == CHECK {
            self.check(plugin)
        } else {
            self.answering(plugin)
        }
    }

    fn answering(&self, plugin: &Ident) -> TokenStream {
        let (name, answer) = (self.name, format_ident!("{}", self.kind.answer));
        let types: Vec<_> = self
            .kind
            .inputs
            .iter()
            .map(|name| format_ident!("{name}"))
            .collect();
        let inputs: Vec<_> = self
            .kind
            .inputs
            .iter()
            .map(|name| format_ident!("{}", name.to_lowercase()))
            .collect();
        let config = self.config.map(read_config);
        quote! {
            fn #name(#(#inputs: &::relay_sdk::#types),*) -> ::core::result::Result<::relay_sdk::#answer, ::relay_sdk::Fault> {
                ::relay_sdk::__private::answer(#plugin::#name(#(#inputs,)* #config))
            }
        }
    }

    fn check(&self, plugin: &Ident) -> TokenStream {
        let name = self.name;
        let call = match self.config {
            Some(Type::Reference(reference)) => {
                let config = &reference.elem;
                quote!(|config: #config| #plugin::#name(&config))
            }
            _ => quote!(#plugin::#name),
        };
        quote! {
            fn #name(config: &str) -> ::std::vec::Vec<::relay_sdk::Problem> {
                ::relay_sdk::__private::problems(config, #call)
            }
        }
    }

    /// Exports the hook from the component.
    pub(crate) fn export(&self, plugin: &Ident) -> TokenStream {
        let world = format_ident!("{}", self.kind.world);
        quote! {
            #[cfg(target_arch = "wasm32")]
            ::relay_sdk::__private::#world::export!(#plugin with_types_in ::relay_sdk::__private::#world);
        }
    }
}

fn typed(argument: &FnArg) -> Option<&Type> {
    match argument {
        FnArg::Typed(argument) => Some(&argument.ty),
        FnArg::Receiver(_) => None,
    }
}

/// A configuration taken by reference is read once per instance.
fn read_config(config: &Type) -> TokenStream {
    match config {
        Type::Reference(reference) => {
            let config = &reference.elem;
            quote!({
                ::std::thread_local! {
                    static CONFIG: ::core::cell::OnceCell<&'static #config> = const { ::core::cell::OnceCell::new() };
                }
                ::relay_sdk::config::cached(&CONFIG)?
            })
        }
        config => quote!(::relay_sdk::config::typed::<#config>()?),
    }
}
