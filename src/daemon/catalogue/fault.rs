//! Why a model could not be fetched. The text is for the lab: no address, no path.

use rustls::CertificateError;
use std::io;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the name of the catalogue's server is not known to the board's resolver")]
    Unresolved,
    #[error("no connection to the catalogue's server: {0}")]
    Connection(String),
    #[error(
        "the certificate of the catalogue's server is not accepted ({0}); see fetch.ca_file, and \
         the board's clock"
    )]
    Certificate(&'static str),
    #[error("the catalogue's server and the board find no TLS that both accept")]
    Tls,
    #[error("the board's authorities can't be read; its log says why")]
    Authorities,
    #[error("the catalogue's server was silent for {0} s")]
    Silent(u32),
    #[error("the catalogue's server sends less than 1 KiB a second")]
    Slow,
    #[error("the connection ended after {have} bytes{of}", of = of(*total))]
    CutShort { have: u64, total: Option<u64> },
    #[error("the catalogue's server answers {0}")]
    Status(u16),
    #[error("the catalogue's server answers another part than it was asked for")]
    OtherRange,
    #[error("the catalogue's server redirects to an address without TLS")]
    PlainRedirect,
    #[error("the catalogue's server redirects again and again")]
    Redirects,
    #[error("the catalogue's server gives an answer that is no HTTP")]
    Protocol,
    #[error("the catalogue's server has {told} bytes, and the catalogue says {stated}")]
    OtherSize { told: u64, stated: u64 },
    #[error("the catalogue's server sends more than {0} bytes")]
    TooLong(u64),
    #[error("{0} bytes came, and the catalogue says {1}")]
    TooShort(u64, u64),
    #[error("5 % of the disk of the models, and room for the records, would not stay free")]
    NoRoom,
    #[error("what came has the SHA-256 {actual}, and the catalogue says {stated}")]
    OtherHash { actual: String, stated: String },
    #[error("the model directory can't be written: {0}")]
    Disk(String),
}

fn of(total: Option<u64>) -> String {
    total.map_or(String::new(), |total| format!(" of {total}"))
}

impl Fault {
    /// A later try may go better, and goes on where this one ended.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unresolved
            | Self::Connection(_)
            | Self::Certificate(_)
            | Self::Tls
            | Self::Silent(_)
            | Self::Slow
            | Self::CutShort { .. }
            | Self::OtherRange
            | Self::Protocol => true,
            // Request timeout, too early, too many requests.
            Self::Status(status) => *status >= 500 || matches!(status, 408 | 425 | 429),
            _ => false,
        }
    }

    /// What has come is of no use, or the board needs its room.
    pub fn discards(&self) -> bool {
        matches!(
            self,
            Self::OtherSize { .. }
                | Self::TooLong(_)
                | Self::TooShort(..)
                | Self::NoRoom
                | Self::OtherHash { .. }
        )
    }

    pub fn of_disk(error: &io::Error) -> Self {
        Self::Disk(error.kind().to_string())
    }

    /// Of the HTTP library; `timeout_s` is what a server may be silent for.
    pub fn of(error: &ureq::Error, timeout_s: u32) -> Self {
        match error {
            ureq::Error::HostNotFound => Self::Unresolved,
            ureq::Error::Timeout(_) => Self::Silent(timeout_s),
            // An entry's own address was checked with the configuration.
            ureq::Error::RequireHttpsOnly(_) => Self::PlainRedirect,
            ureq::Error::TooManyRedirects => Self::Redirects,
            ureq::Error::Rustls(error) => Self::of_tls(error),
            ureq::Error::Io(error) => {
                let inner = error.get_ref();
                match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(error) => Self::of_tls(error),
                    None if error.kind() == io::ErrorKind::TimedOut => Self::Silent(timeout_s),
                    None => Self::Connection(error.kind().to_string()),
                }
            }
            ureq::Error::ConnectionFailed => Self::Connection("refused".to_owned()),
            // Their texts may repeat an address.
            _ => Self::Protocol,
        }
    }

    /// The library's own texts repeat the names in the certificate, and the server's.
    fn of_tls(error: &rustls::Error) -> Self {
        use CertificateError as Of;
        let rustls::Error::InvalidCertificate(error) = error else {
            return Self::Tls;
        };
        Self::Certificate(match error {
            Of::Expired | Of::ExpiredContext { .. } => "it has expired",
            Of::NotValidYet | Of::NotValidYetContext { .. } => "it is not valid yet",
            Of::UnknownIssuer => "no authority that is trusted here has issued it",
            Of::NotValidForName | Of::NotValidForNameContext { .. } => {
                "it is for another server's name"
            }
            Of::Revoked => "it is revoked",
            Of::BadSignature => "its signature is wrong",
            _ => "it is not valid",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_repeats_an_address() {
        let address = "http://secret.lab/m.gguf?token=t";
        for error in [
            ureq::Error::RequireHttpsOnly(address.to_owned()),
            ureq::Error::BadUri(address.to_owned()),
            ureq::Error::Io(io::Error::other(address)),
            ureq::Error::Rustls(rustls::Error::General(address.to_owned())),
            ureq::Error::Rustls(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForNameContext {
                    expected: "secret.lab".try_into().unwrap(),
                    presented: vec!["token.lab".to_owned()],
                },
            )),
        ] {
            let text = Fault::of(&error, 30).to_string();
            assert!(
                !text.contains("secret") && !text.contains("token"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_later_try_can_mend_is_tried_again() {
        for status in [500, 503, 408, 429] {
            assert!(Fault::Status(status).may_pass());
        }
        for status in [400, 401, 403, 404, 410] {
            assert!(!Fault::Status(status).may_pass());
        }
        let cut = Fault::CutShort {
            have: 5,
            total: Some(9),
        };
        assert!(cut.may_pass() && !cut.discards());
        assert_eq!(cut.to_string(), "the connection ended after 5 bytes of 9");
        assert!(Fault::NoRoom.discards() && !Fault::NoRoom.may_pass());
    }
}
