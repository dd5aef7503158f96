//! The addresses of files: `…/media/med_…?expires=…&signature=…`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::model::id::MediaId;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// Where the relay serves files.
pub const PATH: &str = "/media/";
/// What is signed begins with, so that no other signature of the relay's is taken for one of these.
const PURPOSE: &str = "relay media";

/// Signs addresses: HMAC-SHA256 of the file and of when the address expires.
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub(super) fn new(key: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes()))
    }

    /// Where a file can be fetched until then, at a relay that the world knows by `base`.
    pub(super) fn address(&self, base: &Url, id: MediaId, expires: Timestamp) -> String {
        let expires = expires.as_secs();
        let signature = hmac::sign(&self.0, signed(id, expires).as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        let base = base.as_str().trim_end_matches('/');
        format!("{base}{PATH}{id}?expires={expires}&signature={signature}")
    }

    /// Whether an address was signed so, in time that does not depend on where it differs.
    pub(super) fn is_genuine(&self, id: MediaId, expires: i64, signature: &str) -> bool {
        let Ok(given) = URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        hmac::verify(&self.0, signed(id, expires).as_bytes(), &given).is_ok()
    }
}

/// The id is of one tenant, and none is given twice.
fn signed(id: MediaId, expires: i64) -> String {
    format!("{PURPOSE}\0{id}\0{expires}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_for_its_file_and_its_end_alone() {
        let signer = Signer::new(&Secret::new("key".to_owned()));
        let (id, other) = (MediaId::from_raw(5 << 30), MediaId::from_raw(6 << 30));
        let base = Url::parse("https://hooks.example.com/relay/").expect("a URL");
        let address = signer.address(&base, id, Timestamp::from_millis(1_700_000_000_999));
        let (place, signature) = address.split_once("&signature=").expect("it is signed");
        let wanted = format!("https://hooks.example.com/relay/media/{id}?expires=1700000000");
        assert_eq!(place, wanted);
        assert!(signer.is_genuine(id, 1_700_000_000, signature));
        for (id, expires, signature) in [
            (other, 1_700_000_000, signature),
            (id, 1_700_000_001, signature),
            (id, 1_700_000_000, ""),
            (id, 1_700_000_000, "é"),
            (id, 1_700_000_000, &signature[1..]),
        ] {
            assert!(
                !signer.is_genuine(id, expires, signature),
                "{id} {expires} {signature}"
            );
        }
        let another = Signer::new(&Secret::new("another".to_owned()));
        assert!(!another.is_genuine(id, 1_700_000_000, signature));
    }
}
