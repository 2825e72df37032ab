//! An authority of a lab, and the certificates that it issues, for the length of a test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a broker of a test is called in its certificate.
pub const HOST: &str = "127.0.0.1";

pub struct Authority {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Years between which a certificate is valid.
pub type Years = (i32, i32);

pub const ALWAYS: Years = (2000, 2100);

impl Authority {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut params = named(&format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("writable");
        Self { dir, issuer }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn ca(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// A server's certificate for this host name or address.
    pub fn server(&self, host: &str, years: Years) -> Identity {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        self.issue("broker", &params)
    }

    /// A client's certificate.
    pub fn client(&self, common_name: &str) -> Identity {
        self.issue(common_name, &named(common_name))
    }

    fn issue(&self, file: &str, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let identity = Identity {
            cert: self.path().join(format!("{file}.pem")),
            key: self.path().join(format!("{file}.key")),
        };
        std::fs::write(&identity.cert, certificate.pem()).expect("writable");
        std::fs::write(&identity.key, key.serialize_pem()).expect("writable");
        identity
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}
