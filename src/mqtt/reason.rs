//! Why there is no connection, in words for the person who has to do something about it.
//! A reason stays the same from one try to the next, so that it is logged once.

use super::tls::Names;
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use rumqttc::v5::{ConnectionError, StateError};
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use std::error::Error;
use std::io;

/// How the connection was tried.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'t> {
    pub names: &'t Names,
    pub tls: bool,
    pub user: Option<&'t str>,
    /// Whether the broker has accepted the connection.
    pub accepted: bool,
}

impl Tried<'_> {
    /// What `error` means.
    pub fn reason(&self, error: &ConnectionError) -> String {
        if let Some(fault) = tls_fault(error) {
            return self.of_tls(fault);
        }
        let url = self.names.url;
        match error {
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
            ) => self.refused(),
            error if self.accepted || !closed(error) => error.to_string(),
            ConnectionError::Tls(_) => format!(
                "the broker closed the connection before TLS began: does it speak TLS on this \
                 port? It is usually 8883, and 1883 without TLS; see {url}"
            ),
            error => format!(
                "the broker closed the connection at once ({error}): it has to speak MQTT 5, as \
                 mosquitto does from 1.6 on{}",
                match self.tls {
                    true => String::new(),
                    false => format!("; if it speaks TLS on this port, write mqtts:// in {url}"),
                }
            ),
        }
    }

    fn refused(&self) -> String {
        match self.user {
            Some(user) => format!(
                "the broker refuses user {user}: the name or the password in {} is not what \
                 the broker has",
                self.names.password
            ),
            None if self.tls => format!(
                "the broker refuses a connection without user name and password: give them, \
                 or a certificate with {} and {}",
                self.names.cert, self.names.key
            ),
            None => "the broker refuses a connection without user name and password".to_owned(),
        }
    }

    fn of_tls(&self, fault: &rustls::Error) -> String {
        let Names {
            ca, cert, key, url, ..
        } = self.names;
        match fault {
            rustls::Error::InvalidCertificate(fault) => self.of_certificate(fault),
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure => {
                    format!(
                        "the broker ended TLS ({alert:?}): it demands a client certificate; \
                         give {cert} and {key}, or others"
                    )
                }
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::AccessDenied => format!(
                    "the broker does not accept the certificate in {cert} ({alert:?}): its \
                     authority, its dates or the broker's clock are wrong"
                ),
                AlertDescription::ProtocolVersion => {
                    "the broker speaks no TLS 1.2 or 1.3".to_owned()
                }
                other => format!("the broker ended TLS ({other:?})"),
            },
            rustls::Error::InvalidMessage(_) => format!(
                "what answers on this port speaks no TLS: check host and port in {url}; \
                 mqtt:// is without TLS"
            ),
            rustls::Error::PeerIncompatible(what) => {
                format!("the broker's TLS is too old or too narrow: {what:?}")
            }
            other => format!("TLS: {other}; the authority trusted is that of {ca}"),
        }
    }

    fn of_certificate(&self, fault: &CertificateError) -> String {
        let ca = self.names.ca;
        let clock = "or this machine's clock is wrong, as that of a board without RTC after a \
                     start without network";
        match fault {
            CertificateError::UnknownIssuer => format!(
                "the broker is not trusted: no known authority signed its certificate; give \
                 that authority's certificate as {ca}"
            ),
            CertificateError::BadSignature => format!(
                "the broker is not trusted: its certificate is not signed by the authority of \
                 that name in {ca}"
            ),
            CertificateError::NotValidYetContext { time, not_before } => format!(
                "the broker's certificate is valid from {} on, and here it is {}: wait for it, \
                 {clock}",
                day(*not_before),
                day(*time)
            ),
            CertificateError::ExpiredContext { time, not_after } => format!(
                "the broker's certificate expired on {}, and here it is {}: renew it, {clock}",
                day(*not_after),
                day(*time)
            ),
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => format!(
                "the broker's certificate is not for {}; it is for {}: use such a name in {}, \
                 or issue one whose subject alternative names hold it",
                expected.to_str(),
                match presented.is_empty() {
                    true => "no name at all".to_owned(),
                    false => {
                        let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
                        names.join(", ")
                    }
                },
                self.names.url
            ),
            CertificateError::Revoked => "the broker's certificate is revoked".to_owned(),
            other => format!("the broker's certificate can't be used: {other}"),
        }
    }
}

/// The library writes `DnsName("lab")`.
fn plain(presented: &str) -> &str {
    let inner = presented
        .split_once('(')
        .map_or(presented, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// A day in UTC: a reason with the time of day would be another one at each try.
fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| format!("second {seconds} since 1970"),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// The error of TLS inside, wherever the layers above put it.
fn tls_fault<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    layers(error).find_map(|layer| layer.downcast_ref())
}

/// Whether the other side just closed.
pub(super) fn closed(error: &(dyn Error + 'static)) -> bool {
    layers(error).any(|layer| {
        let ended = layer.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
            )
            // In the middle of a packet; the library's framing has no kind for it.
            || error.kind() == io::ErrorKind::Other
                && error.to_string().contains("bytes remaining")
        });
        ended || matches!(layer.downcast_ref(), Some(StateError::ConnectionAborted))
    })
}

/// `error` and what caused it. An I/O error's `source` skips the error that it wraps, and the
/// library's has none where reading a packet failed.
fn layers<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |layer| {
        let layer: &'e (dyn Error + 'static) = *layer;
        if let Some(StateError::Deserialization(inner)) = layer.downcast_ref() {
            return Some(inner);
        }
        let wrapped = layer
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => layer.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tls::KEYS;
    use super::*;
    use rustls::pki_types::ServerName;
    use std::time::Duration;

    const TRIED: Tried<'_> = Tried {
        names: &KEYS,
        tls: true,
        user: Some("pi"),
        accepted: false,
    };

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// As the library passes it on: in an I/O error, from the handshake or a later packet.
    fn reason(fault: rustls::Error) -> String {
        let in_io = || io::Error::new(io::ErrorKind::InvalidData, fault.clone());
        let later = rumqttc::v5::mqttbytes::Error::Io(in_io());
        let text = TRIED.reason(&ConnectionError::Io(in_io()));
        let later = ConnectionError::MqttState(StateError::Deserialization(later));
        assert_eq!(TRIED.reason(&later), text);
        text
    }

    #[test]
    fn a_board_in_1970_is_told_to_look_at_its_clock() {
        let fault = |now| CertificateError::NotValidYetContext {
            time: at(now),
            not_before: at(1_790_000_000),
        };
        let text = reason(fault(60).into());
        assert!(
            text.contains("1970-01-01") && text.contains("clock"),
            "{text}"
        );
        assert_eq!(text, reason(fault(61).into()), "logged once");
        let expired = CertificateError::ExpiredContext {
            time: at(1_790_000_000),
            not_after: at(1_700_000_000),
        };
        let text = reason(expired.into());
        assert!(text.contains("expired on 2023-11-14"), "{text}");
    }

    #[test]
    fn what_to_do_is_named_by_its_key() {
        let wrong_name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("lab").expect("a name").to_owned(),
            presented: vec!["DnsName(\"broker\")".to_owned()],
        };
        for (fault, word) in [
            (CertificateError::UnknownIssuer.into(), "ca_file"),
            (wrong_name.into(), "it is for broker: use"),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                "cert_file",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::UnknownCA),
                "cert_file",
            ),
        ] {
            let text = reason(fault);
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn a_broker_that_wants_tls_just_closes() {
        let error = ConnectionError::MqttState(StateError::ConnectionAborted);
        let plain = Tried {
            tls: false,
            ..TRIED
        };
        assert!(plain.reason(&error).contains("mqtts://"));
        let later = Tried {
            accepted: true,
            ..plain
        };
        assert!(!later.reason(&error).contains("mqtts://"));
    }

    #[test]
    fn a_refused_user_is_named_and_the_password_is_not() {
        let error = ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        let text = TRIED.reason(&error);
        assert!(
            text.contains("user pi") && text.contains("password_file"),
            "{text}"
        );
        let nobody = Tried {
            user: None,
            ..TRIED
        };
        assert!(nobody.reason(&error).contains("cert_file"));
    }
}
