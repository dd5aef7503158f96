//! An independent check of the Standard Webhooks signature, so that the benchmark does not ask
//! the relay's own code whether the relay signed well.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::wire;

/// The secret that every endpoint of the benchmark signs with.
pub(super) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Checks `webhook-signature` over `webhook-id`, `webhook-timestamp` and the body.
#[derive(Debug)]
pub(super) struct Verifier(hmac::Key);

impl Verifier {
    /// A verifier for a `whsec_` secret; `None` if it is not one.
    pub(super) fn new(secret: &str) -> Option<Self> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// Says what is wrong with the signature of a request, if anything is.
    pub(super) fn check(&self, head: &[u8], body: &[u8]) -> Result<(), String> {
        let header =
            |name: &str| wire::header(head, name).ok_or_else(|| format!("a delivery came without {name}"));
        let mut context = hmac::Context::with_key(&self.0);
        for part in [header("webhook-id")?, ".", header("webhook-timestamp")?, "."] {
            context.update(part.as_bytes());
        }
        context.update(body);
        let expected = format!("v1,{}", STANDARD.encode(context.sign()));
        let signatures = header("webhook-signature")?;
        if signatures.split(' ').any(|signature| signature == expected) {
            return Ok(());
        }
        Err(format!("webhook-signature {signatures:?} is not {expected:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn the_reference_example_verifies_and_a_changed_body_does_not() {
        let verifier = Verifier::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let head = b"POST / HTTP/1.1\r\nwebhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nwebhook-timestamp: 1614265330\r\n\
            webhook-signature: v1a,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n\r\n";
        assert_eq!(verifier.check(head, br#"{"test": 2432232314}"#), Ok(()));
        assert!(verifier.check(head, br#"{"test": 2432232315}"#).is_err());
        assert!(verifier.check(b"POST / HTTP/1.1\r\n\r\n", b"").is_err());
    }
}
