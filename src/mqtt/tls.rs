//! TLS: whom a connection trusts, and as whom it presents itself.
//!
//! The broker is always verified, against the certificates in `ca_file` alone where one is
//! given, else against the system's roots. Nothing switches that off. TLS 1.2 and 1.3, with
//! ring as the only provider of ciphers.
//!
//! Files are PEM; keys are PKCS#8, PKCS#1 or SEC1, without a passphrase.

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the files are called where their user names them, so that an error can say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    pub ca: &'static str,
    pub cert: &'static str,
    pub key: &'static str,
    /// What the broker's address is called.
    pub url: &'static str,
    pub password: &'static str,
}

/// The keys of `[mqtt]`.
pub const KEYS: Names = Names {
    ca: "ca_file",
    cert: "cert_file",
    key: "key_file",
    url: "url",
    password: "password_file",
};

/// The files as they are configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// The files can't be used as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("{given} without {missing}: a client certificate needs both")]
    Half {
        given: &'static str,
        missing: &'static str,
    },
    #[error("{0} with an mqtt:// URL, which means no TLS: write mqtts://")]
    NoTls(&'static str),
    #[error("{name} {path}: {fault}", path = path.display())]
    File {
        name: &'static str,
        path: PathBuf,
        fault: Fault,
    },
    #[error(
        "this system has no root certificates{why}: install the package ca-certificates, or \
         give the broker's authority as {ca}"
    )]
    NoRoots { ca: &'static str, why: String },
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("is no PEM file: {0}")]
    Malformed(String),
    #[error("holds no certificate; one begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    #[error("holds a certificate that can't be trusted as an authority: {0}")]
    NoAuthority(String),
    #[error(
        "holds no private key; one begins with -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY \
         or EC PRIVATE KEY"
    )]
    NoKey,
    #[error(
        "the key is encrypted with a passphrase, which nobody can type at a start; write it \
         without one: openssl pkey -in ENCRYPTED -out PLAIN"
    )]
    Encrypted,
    #[error("the key does not belong to the certificate in {}; renew both together", .0.display())]
    OtherKey(PathBuf),
    #[error("can't be used: {0}")]
    Unusable(String),
}

impl TlsFiles {
    /// What there is to say about the files where no TLS is spoken.
    pub fn check_unused(&self, names: &Names) -> Result<(), TlsError> {
        let given = [
            (names.ca, &self.ca),
            (names.cert, &self.cert),
            (names.key, &self.key),
        ];
        match given.into_iter().find(|(_, file)| file.is_some()) {
            Some((name, _)) => Err(TlsError::NoTls(name)),
            None => Ok(()),
        }
    }

    /// Reads the files. The key must fit the certificate.
    pub fn client_config(&self, names: &Names) -> Result<Arc<ClientConfig>, TlsError> {
        let roots = match &self.ca {
            Some(path) => own_roots(names.ca, path)?,
            None => system_roots(names.ca)?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has ciphers for TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let mut config = match (&self.cert, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = certificates(names.cert, cert)?;
                let fault = |error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        file_error(names.key, key, Fault::OtherKey(cert.clone()))
                    }
                    rustls::Error::InvalidCertificate(_) => {
                        file_error(names.cert, cert, Fault::Unusable(error.to_string()))
                    }
                    error => file_error(names.key, key, Fault::Unusable(error.to_string())),
                };
                builder
                    .with_client_auth_cert(chain, private_key(names.key, key)?)
                    .map_err(fault)?
            }
            (cert, _) => {
                let (given, missing) = match cert {
                    Some(_) => (names.cert, names.key),
                    None => (names.key, names.cert),
                };
                return Err(TlsError::Half { given, missing });
            }
        };
        // Connections are rare, and each one is verified in full.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn file_error(name: &'static str, path: &Path, fault: Fault) -> TlsError {
    TlsError::File {
        name,
        path: path.to_owned(),
        fault,
    }
}

fn read(name: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| file_error(name, path, Fault::Unreadable(error.to_string())))
}

fn certificates(name: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(name, path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| file_error(name, path, malformed(&error)))?;
    match found.is_empty() {
        true => Err(file_error(name, path, Fault::NoCertificate)),
        false => Ok(found),
    }
}

fn private_key(name: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(name, path)?;
    let has = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
    // PKCS#8's own form, and the header that OpenSSL once wrote into the older forms.
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(file_error(name, path, Fault::Encrypted));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let fault = match error {
            pem::Error::NoItemsFound => Fault::NoKey,
            error => malformed(&error),
        };
        file_error(name, path, fault)
    })
}

/// The parser's own words may quote the file, which may hold a key.
fn malformed(error: &pem::Error) -> Fault {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no -----END-----",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN----- line is cut off",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it does not parse",
    };
    Fault::Malformed(what.to_owned())
}

/// The authorities that a server's certificate may come from: those in `file`, which is called
/// `name`, or the system's.
pub fn authorities(
    name: &'static str,
    file: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    match file {
        Some(path) => certificates(name, path),
        None => system_certificates(name),
    }
}

fn own_roots(name: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(name, path)? {
        roots
            .add(certificate)
            .map_err(|error| file_error(name, path, Fault::NoAuthority(error.to_string())))?;
    }
    Ok(roots)
}

fn system_roots(ca: &'static str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A system's list may hold old certificates that can't be parsed any more.
    roots.add_parsable_certificates(system_certificates(ca)?);
    match roots.is_empty() {
        true => Err(TlsError::NoRoots {
            ca,
            why: String::new(),
        }),
        false => Ok(roots),
    }
}

fn system_certificates(ca: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found
            .errors
            .first()
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        return Err(TlsError::NoRoots { ca, why });
    }
    Ok(found.certs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    struct Files {
        dir: tempfile::TempDir,
        authority: KeyPair,
        board: KeyPair,
    }

    impl Files {
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.dir.path().join(name);
            std::fs::write(&path, text).expect("writable");
            path
        }

        fn board_with_key(&self, key: &str) -> Result<Arc<ClientConfig>, TlsError> {
            let params = CertificateParams::new(Vec::new()).expect("no names");
            let certificate = params.self_signed(&self.board).expect("signed");
            let mut ca = CertificateParams::new(Vec::new()).expect("no names");
            ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let ca = ca.self_signed(&self.authority).expect("signed");
            TlsFiles {
                ca: Some(self.write("ca.pem", &ca.pem())),
                cert: Some(self.write("board.pem", &certificate.pem())),
                key: Some(self.write("board.key", key)),
            }
            .client_config(&KEYS)
        }
    }

    fn files() -> Files {
        Files {
            dir: tempfile::tempdir().expect("a temporary directory"),
            authority: KeyPair::generate().expect("a key"),
            board: KeyPair::generate().expect("a key"),
        }
    }

    fn fault(outcome: Result<Arc<ClientConfig>, TlsError>) -> Fault {
        match outcome {
            Err(TlsError::File { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    /// The SEC1 key inside a PKCS#8 one: a sequence that holds version 1 and 32 octets.
    fn sec1(key: &KeyPair) -> String {
        use base64::Engine;
        let der = key.serialize_der();
        let begins = [0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20];
        let at = der.windows(7).position(|window| window == begins);
        let inner = &der[at.expect("a P-256 key")..];
        let text = base64::engine::general_purpose::STANDARD.encode(inner);
        format!("-----BEGIN EC PRIVATE KEY-----\n{text}\n-----END EC PRIVATE KEY-----\n")
    }

    #[test]
    fn a_certificate_and_its_key_make_an_identity() {
        let files = files();
        for key in [files.board.serialize_pem(), sec1(&files.board)] {
            let config = files.board_with_key(&key).expect("usable");
            assert!(config.client_auth_cert_resolver.has_certs());
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_said_to_be_so() {
        let files = files();
        let stranger = KeyPair::generate().expect("a key").serialize_pem();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n\
                         -----END ENCRYPTED PRIVATE KEY-----\n";
        let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                     DEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let fault_of = |key: &str| fault(files.board_with_key(key));
        assert!(matches!(fault_of(&stranger), Fault::OtherKey(_)));
        assert_eq!(fault_of(encrypted), Fault::Encrypted);
        assert_eq!(fault_of(older), Fault::Encrypted);
        assert_eq!(fault_of("secret"), Fault::NoKey);
        let cut = &files.board.serialize_pem()[..60];
        let text = fault_of(cut).to_string();
        assert!(text.contains("-----END-----"), "{text}");
        assert!(!text.contains(&cut[30..50]), "{text}");
    }

    #[test]
    fn files_that_hold_no_certificate_name_themselves() {
        let files = files();
        let missing = files.dir.path().join("absent.pem");
        let with = |path: &Path| TlsFiles {
            ca: Some(path.to_owned()),
            ..TlsFiles::default()
        };
        let error = with(&missing).client_config(&KEYS).expect_err("absent");
        let text = error.to_string();
        assert!(
            text.contains("ca_file") && text.contains("absent.pem"),
            "{text}"
        );
        let key = files.write("key.pem", &files.authority.serialize_pem());
        assert_eq!(fault(with(&key).client_config(&KEYS)), Fault::NoCertificate);
    }

    #[test]
    fn half_an_identity_is_none() {
        let files = files();
        files.board_with_key("").expect_err("no key");
        let at = |name: &str| Some(files.dir.path().join(name));
        let half = TlsFiles {
            ca: at("ca.pem"),
            cert: at("board.pem"),
            key: None,
        };
        let text = half.client_config(&KEYS).expect_err("no key").to_string();
        assert!(text.starts_with("cert_file without key_file"), "{text}");
        let text = half.check_unused(&KEYS).expect_err("unused").to_string();
        assert!(text.contains("ca_file with an mqtt:// URL"), "{text}");
        assert_eq!(TlsFiles::default().check_unused(&KEYS), Ok(()));
    }
}
