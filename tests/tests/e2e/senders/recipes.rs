//! The recipes of the documentation as the configuration of a relay, with secrets to them.

use std::path::Path;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_tests::instance::Setup;

pub(super) const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(super) const OTHER_WHSEC: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// A header of DER before the point of a public key on P-256.
pub(super) const P256_SPKI_PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

pub(super) fn documentation() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/senders.md");
    std::fs::read_to_string(path).expect("the documentation is there")
}

/// What stands in the blocks of a language, one after the other.
pub(super) fn blocks(text: &str, language: &str) -> Vec<String> {
    text.split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// The environment variables that a text names as secrets.
pub(super) fn variables(config: &str) -> Vec<&str> {
    config
        .split("env = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

/// Key pairs of the senders that have some.
pub(super) struct Keys {
    pub(super) ecdsa: EcdsaKeyPair,
    /// Of nobody that a recipe knows.
    pub(super) other: EcdsaKeyPair,
    pub(super) jwt: EcdsaKeyPair,
    pub(super) ed25519: Ed25519KeyPair,
    pub(super) rsa: RsaKeyPair,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key pair"),
            other: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key pair"),
            jwt: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair"),
            ed25519: Ed25519KeyPair::generate().expect("a key pair"),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair"),
        }
    }

    /// The secret of a variable: of most, its own name.
    pub(super) fn secret(&self, variable: &str) -> String {
        match variable {
            "STANDARD_WEBHOOKS_SECRET" => WHSEC.to_owned(),
            "SENDGRID_VERIFICATION_KEY" => spki(&self.ecdsa),
            "ID_PUBLIC_KEY" => spki(&self.jwt),
            "CHAT_PUBLIC_KEY" => hex::encode(self.ed25519.public_key()),
            _ => variable.to_owned(),
        }
    }
}

/// A public key on P-256 as senders show it.
pub(super) fn spki(pair: &EcdsaKeyPair) -> String {
    let prefix = hex::decode(P256_SPKI_PREFIX).expect("hex");
    STANDARD.encode([&prefix, pair.public_key().as_ref()].concat())
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

/// A relay to be started with every recipe, the files that they name, and their secrets.
pub(super) fn setup(keys: &Keys) -> Setup {
    let config = blocks(&documentation(), "toml").concat();
    let mut setup = Setup::new(&config);
    for name in variables(&config) {
        setup = setup.variable(name, &keys.secret(name));
    }
    setup.file(
        "fusionauth.pem",
        pem("RSA PUBLIC KEY", keys.rsa.public_key().as_ref()),
    );
    let private = keys.ecdsa.to_pkcs8v1().expect("a private key");
    setup.file("sendgrid.pem", pem("PRIVATE KEY", private.as_ref()));
    setup
}
