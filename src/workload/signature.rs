//! Signed jobs, for labs whose broker others may write to: an Ed25519 signature (RFC 8032) over
//! the job as it was sent, the board that it is for, and the time until which it may be taken.
//!
//! `signature` is `NOT_AFTER.SIGNATURE`: seconds of the Unix epoch, and 64 bytes in base64url
//! without padding. What is signed is the line `jouled-job:DEVICE:NOT_AFTER`, a newline, and
//! the payload with an empty `signature`, byte for byte: no canonical form has to be agreed on.
//!
//! A signature is good for one board. Until NOT_AFTER the board remembers the job's id, so that
//! the same payload sent again runs nothing; after it the payload is refused.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::collections::BTreeMap;

const PUBLIC_KEY_BYTES: usize = 32;

/// Why a job is not taken as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("this board takes signed jobs only; sign it, for instance with submit --sign-key")]
    Missing,
    #[error("must be NOT_AFTER.SIGNATURE: a Unix time, a dot, and 86 characters of base64url")]
    Malformed,
    #[error("its text must occur once in the payload, as the value of signature")]
    NotOnce,
    #[error(
        "no key of this board made it for this board and this payload: the job was changed, \
         signed for another board, or its signer is not among [signing.keys]"
    )]
    Wrong,
    #[error("it was good until {not_after} and the board's clock says {now}; sign the job anew")]
    Expired { not_after: i64, now: i64 },
    #[error(
        "it is good until {not_after}, later than {latest}, up to which the board remembers \
         ids; sign it for a shorter time, and check the board's clock"
    )]
    TooLong { not_after: i64, latest: i64 },
}

/// A public key in the configuration is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key \"{name}\" is not the base64 of a 32-byte Ed25519 public key")]
pub struct KeyError {
    name: String,
}

/// Those whose jobs a board takes, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedKeys(BTreeMap<String, Vec<u8>>);

impl TrustedKeys {
    /// Reads public keys, 32 bytes in base64.
    pub fn parse(keys: &BTreeMap<String, String>) -> Result<Self, KeyError> {
        let read = |(name, text): (&String, &String)| {
            let key = STANDARD.decode(text.trim()).ok();
            let key = key.filter(|key| key.len() == PUBLIC_KEY_BYTES);
            let key = key.ok_or_else(|| KeyError { name: name.clone() })?;
            Ok((name.clone(), key))
        };
        keys.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the key that signed `payload` for `device`. Ids are remembered until
    /// `latest_unix_s`.
    pub fn verify(
        &self,
        payload: &[u8],
        signature: &str,
        device: &str,
        now_unix_s: i64,
        latest_unix_s: i64,
    ) -> Result<&str, SignatureError> {
        let (not_after, bytes) = parse(signature).ok_or(SignatureError::Malformed)?;
        let unsigned = without(payload, signature).ok_or(SignatureError::NotOnce)?;
        let message = message(device, not_after, &unsigned);
        let signed_by = |(_, key): &(&String, &Vec<u8>)| {
            let key = UnparsedPublicKey::new(&ED25519, key.as_slice());
            key.verify(&message, &bytes).is_ok()
        };
        let (name, _) = self.0.iter().find(signed_by).ok_or(SignatureError::Wrong)?;
        if not_after < now_unix_s {
            return Err(SignatureError::Expired {
                not_after,
                now: now_unix_s,
            });
        }
        if not_after > latest_unix_s {
            return Err(SignatureError::TooLong {
                not_after,
                latest: latest_unix_s,
            });
        }
        Ok(name)
    }
}

/// The time, in digits alone, and the signature.
fn parse(signature: &str) -> Option<(i64, Vec<u8>)> {
    let (not_after, text) = signature.split_once('.')?;
    let plain = not_after.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let whole = plain && bytes.len() == 64;
    Some((not_after.parse().ok().filter(|_| whole)?, bytes))
}

/// The payload with an empty signature; `None` unless the quoted text occurs exactly once.
fn without(payload: &[u8], signature: &str) -> Option<Vec<u8>> {
    let quoted = format!("\"{signature}\"");
    let mut places = payload
        .windows(quoted.len())
        .enumerate()
        .filter(|(_, window)| *window == quoted.as_bytes());
    let (place, _) = places.next()?;
    if places.next().is_some() {
        return None;
    }
    let (start, end) = (place + 1, place + quoted.len() - 1);
    Some([&payload[..start], &payload[end..]].concat())
}

fn message(device: &str, not_after: i64, unsigned: &[u8]) -> Vec<u8> {
    let mut message = format!("jouled-job:{device}:{not_after}\n").into_bytes();
    message.extend_from_slice(unsigned);
    message
}

/// The secret half: what a lab signs with.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// From PKCS#8 (RFC 5958), as `openssl genpkey -algorithm ed25519` makes it.
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .ok()
            .map(Self)
    }

    /// The public half as [`TrustedKeys::parse`] reads it.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.public_key().as_ref())
    }

    /// The value of `signature` for a payload that has it empty.
    pub fn sign(&self, unsigned: &[u8], device: &str, not_after_unix_s: i64) -> String {
        let message = message(device, not_after_unix_s, unsigned);
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(&message).as_ref());
        format!("{not_after_unix_s}.{signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// PKCS#8 of version 1 around 32 bytes (RFC 8410).
    fn key(seed: u8) -> SigningKey {
        let mut der = vec![
            0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ];
        der.extend([seed; 32]);
        SigningKey::from_pkcs8(&der).expect("any 32 bytes are a key")
    }

    fn trusted(key: &SigningKey) -> TrustedKeys {
        let keys = BTreeMap::from([("lab".to_owned(), key.public())]);
        TrustedKeys::parse(&keys).expect("its own encoding")
    }

    const JOB: &str = r#"{"id":"a","prompt":"","signature":""}"#;

    fn signed(key: &SigningKey, device: &str) -> (String, String) {
        let signature = key.sign(JOB.as_bytes(), device, 1000);
        let payload = JOB.replace(
            "\"signature\":\"\"",
            &format!("\"signature\":\"{signature}\""),
        );
        (payload, signature)
    }

    #[test]
    fn a_signature_is_for_one_payload_one_board_and_a_time() {
        use SignatureError::*;
        let lab = key(1);
        let keys = trusted(&lab);
        let (payload, signature) = signed(&lab, "pi5-01");
        let check = |payload: &str, device, now, latest| {
            keys.verify(payload.as_bytes(), &signature, device, now, latest)
        };
        assert_eq!(check(&payload, "pi5-01", 1000, 2000), Ok("lab"));
        assert_eq!(check(&payload, "pi5-02", 1000, 2000), Err(Wrong));
        let changed = payload.replace("\"a\"", "\"b\"");
        assert_eq!(check(&changed, "pi5-01", 1000, 2000), Err(Wrong));
        let expired = check(&payload, "pi5-01", 1001, 2000);
        assert_eq!(
            expired,
            Err(Expired {
                not_after: 1000,
                now: 1001
            })
        );
        let too_long = check(&payload, "pi5-01", 100, 999);
        assert_eq!(
            too_long,
            Err(TooLong {
                not_after: 1000,
                latest: 999
            })
        );
        let other = trusted(&key(2));
        let stranger = other.verify(payload.as_bytes(), &signature, "pi5-01", 1, 2000);
        assert_eq!(stranger, Err(Wrong));
    }

    #[test]
    fn the_time_is_signed_too() {
        let lab = key(1);
        let (payload, signature) = signed(&lab, "pi5-01");
        let later = signature.replace("1000.", "2000.");
        let payload = payload.replace(&signature, &later);
        let keys = trusted(&lab);
        let taken = keys.verify(payload.as_bytes(), &later, "pi5-01", 1500, 9000);
        assert_eq!(taken, Err(SignatureError::Wrong));
    }

    #[test]
    fn the_signature_cant_stand_in_for_another_field() {
        let lab = key(1);
        let (payload, signature) = signed(&lab, "pi5-01");
        let twice = payload.replace("\"prompt\":\"\"", &format!("\"prompt\":\"{signature}\""));
        let keys = trusted(&lab);
        let taken = keys.verify(twice.as_bytes(), &signature, "pi5-01", 1, 2000);
        assert_eq!(taken, Err(SignatureError::NotOnce));
        // A writer that escapes it differently has changed the payload.
        let elsewhere = keys.verify(JOB.as_bytes(), &signature, "pi5-01", 1, 2000);
        assert_eq!(elsewhere, Err(SignatureError::NotOnce));
    }

    #[test]
    fn what_is_no_signature_or_no_key_is_said_to_be_none() {
        let keys = trusted(&key(1));
        let (_, good) = signed(&key(1), "pi5-01");
        let bare = good.split_once('.').expect("it has a dot").1;
        for bad in [
            String::new(),
            ".".to_owned(),
            bare.to_owned(),
            format!("-1.{bare}"),
            format!("+1.{bare}"),
            format!("1.{}", &bare[1..]),
            format!("99999999999999999999.{bare}"),
        ] {
            let taken = keys.verify(JOB.as_bytes(), &bad, "pi5-01", 1, 2000);
            assert_eq!(taken, Err(SignatureError::Malformed), "{bad:?}");
        }
        for bad in ["", "abc", "AAAA"] {
            let keys = BTreeMap::from([("lab".to_owned(), bad.to_owned())]);
            assert!(TrustedKeys::parse(&keys).is_err(), "{bad:?}");
        }
        assert!(SigningKey::from_pkcs8(b"not a key").is_none());
    }

    /// By the reference implementation's command line: openssl pkeyutl -sign -rawin.
    #[test]
    fn openssl_makes_the_same_signature() {
        let signature = "1000.iVix3nyufkfJRveS0GoJ0n-nSqIOlrU1GZoC8qFRGPCXNBymPUj29DaPnmjraKu6Mdhrr1LSxkx9hYg_G4cDDg";
        assert_eq!(key(1).sign(JOB.as_bytes(), "pi5-01", 1000), signature);
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed(place in 0usize..200, change in 1u8..) {
            let lab = key(1);
            let (payload, signature) = signed(&lab, "pi5-01");
            let mut bytes = payload.into_bytes();
            let place = place % bytes.len();
            bytes[place] ^= change;
            let keys = trusted(&lab);
            let taken = keys.verify(&bytes, &signature, "pi5-01", 1, 2000);
            prop_assert!(taken.is_err());
        }

        #[test]
        fn no_text_makes_it_panic(payload: Vec<u8>, signature in ".*") {
            let _ = trusted(&key(1)).verify(&payload, &signature, "pi5-01", 1, 2000);
        }
    }
}
