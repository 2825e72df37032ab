//! `joulectl keygen`, and signing a job with the key that it made; see
//! [`signature`](crate::workload::signature).

use super::LabError;
use super::target::Board;
use crate::clock;
use crate::mqtt::credential;
use crate::workload::signature::SigningKey;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, clap::Args)]
pub struct Keygen {
    /// Where the secret key goes, readable by you alone; a file that is there is not replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The key's name in the boards' configuration
    #[arg(long, default_value = "lab")]
    pub name: String,
}

/// How a job is signed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Signing {
    /// Sign the job with this key, as keygen or `openssl genpkey -algorithm ed25519` made it
    #[arg(long, value_name = "FILE", env = "JOULED_SIGN_KEY")]
    pub sign_key: Option<PathBuf>,
    /// Seconds for which the board may take the signed job
    #[arg(long, value_name = "S", default_value_t = 86_400, requires = "sign_key",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub valid_for: u32,
}

/// DER of a PKCS#8 Ed25519 key up to the 32 bytes of the seed (RFC 8410). Version 1, which
/// OpenSSL reads too.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Makes a key and prints what the boards need to know of it.
pub fn keygen(options: &Keygen) -> Result<(), LabError> {
    let mut seed = [0; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| LabError::Failed("the system has no random numbers".to_owned()))?;
    let der = [&PKCS8_PREFIX[..], &seed].concat();
    let key = SigningKey::from_pkcs8(&der).expect("any 32 bytes are a seed");
    write_secret(&options.file, &pem(&der))?;
    eprintln!(
        "wrote {}, which stays secret; boards take jobs signed with it once their configuration says",
        options.file.display()
    );
    let name = &options.name;
    println!(
        "[signing]\nrequired = true\n\n[signing.keys]\n{name:?} = \"{}\"",
        key.public()
    );
    Ok(())
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    // 48 bytes are one line of 64 characters.
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn write_secret(path: &Path, text: &str) -> Result<(), LabError> {
    let written = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| LabError::Usage(format!("{}: {error}", path.display())))
}

/// Signs `job` for `board`, if the options say so. It changes nothing of the job but
/// `signature`.
pub fn sign(job: &mut Value, board: &Board, options: &Signing) -> Result<(), LabError> {
    let Some(path) = &options.sign_key else {
        return Ok(());
    };
    if let Some(warning) = credential::warning("--sign-key", path) {
        eprintln!("warning: {warning}");
    }
    let wrong = |what: &str| LabError::Usage(format!("--sign-key {}: {what}", path.display()));
    let der = PrivatePkcs8KeyDer::from_pem_file(path)
        .map_err(|error| wrong(&format!("no PKCS#8 key in PEM ({error})")))?;
    let key = SigningKey::from_pkcs8(der.secret_pkcs8_der())
        .ok_or_else(|| wrong("not an Ed25519 key; make one with joulectl keygen"))?;
    let not_after = clock::unix_seconds() + i64::from(options.valid_for);
    job["signature"] = Value::String(String::new());
    let signature = key.sign(job.to_string().as_bytes(), board.name(), not_after);
    job["signature"] = Value::String(signature);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::signature::TrustedKeys;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_signs_what_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lab.pem");
        let made = Keygen {
            file: file.clone(),
            name: "lab".to_owned(),
        };
        keygen(&made).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(keygen(&made).unwrap_err().exit_code(), 2);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

        let mut job = json!({"id": "a", "prompt": "Why?", "kind": "generate"});
        let options = Signing {
            sign_key: Some(file.clone()),
            valid_for: 60,
        };
        sign(&mut job, &Board::new("jouled", "pi5-01"), &options).unwrap();
        let key = PrivatePkcs8KeyDer::from_pem_file(&file).unwrap();
        let key = SigningKey::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        let keys = TrustedKeys::parse(&[("lab".to_owned(), key.public())].into()).unwrap();
        let now = clock::unix_seconds();
        let payload = job.to_string();
        let signature = job["signature"].as_str().unwrap();
        let taken = keys.verify(payload.as_bytes(), signature, "pi5-01", now, now + 100);
        assert_eq!(taken, Ok("lab"));
    }

    #[test]
    fn a_key_of_another_kind_is_a_usage_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("no.pem");
        let options = Signing {
            sign_key: Some(file.clone()),
            valid_for: 60,
        };
        let board = Board::new("jouled", "pi5-01");
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            std::fs::write(&file, text).unwrap();
            let error = sign(&mut json!({}), &board, &options).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("no.pem"), "{error}");
        }
    }
}
