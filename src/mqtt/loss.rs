//! What a connection's end means for the next try.

use super::reason::{Tried, closed};
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode as Refused, DisconnectReasonCode as Ended};
use rumqttc::v5::{ConnectionError, StateError};

/// Why a connection ended, or never came to be, as a sentence for the person who can change it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Loss {
    /// Another client connected with this board's client id.
    #[error(
        "another client has connected with this board's client id, and the broker allows one; \
         give each its own [mqtt] client_id or [device] name"
    )]
    TakenOver,
    /// An accepted connection, without a word.
    #[error("the broker closed the connection")]
    Closed,
    /// The same again and again, soon after it was accepted.
    #[error(
        "the broker closes the connection again and again, soon after accepting it; it does so \
         when another client uses the same client id (give each its own [mqtt] client_id or \
         [device] name), or when it restarts"
    )]
    ClosedAgain,
    #[error("{0}")]
    Other(String),
}

impl Loss {
    pub fn of(error: &ConnectionError, tried: &Tried<'_>) -> Self {
        let said = match error {
            ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code,
                reason_string,
            }) => match reason_code {
                Ended::SessionTakenOver => return Self::TakenOver,
                code => disconnected(*code, reason_string.as_deref()),
            },
            ConnectionError::ConnectionRefused(code) => match refused(*code) {
                Some(said) => said,
                None => tried.reason(error),
            },
            ConnectionError::MqttState(StateError::AwaitPingResp) => {
                "the broker did not answer a ping within the keep-alive time".to_owned()
            }
            ConnectionError::Timeout(_) => "the broker did not answer in time; check [mqtt] url, \
                                            and whether a broker listens there"
                .to_owned(),
            error if tried.accepted && closed(error) => return Self::Closed,
            error => tried.reason(error),
        };
        Self::Other(said)
    }
}

impl From<&str> for Loss {
    fn from(reason: &str) -> Self {
        Self::Other(reason.to_owned())
    }
}

/// Refusals that have nothing to do with who the board is.
fn refused(code: Refused) -> Option<String> {
    let (why, number) = match code {
        Refused::ClientIdentifierNotValid => ("it does not accept [mqtt] client_id", 0x85),
        Refused::UnsupportedProtocolVersion | Refused::RefusedProtocolVersion => (
            "it does not speak MQTT 5; jouled needs one that does, such as mosquitto 1.6 or later",
            0x84,
        ),
        Refused::ServerUnavailable | Refused::ServiceUnavailable => ("it is not available", 0x88),
        Refused::ServerBusy => ("it is busy", 0x89),
        Refused::Banned => ("it has banned this board", 0x8A),
        Refused::QuotaExceeded => ("a quota is used up", 0x97),
        Refused::ConnectionRateExceeded => ("too many clients connect at a time", 0x9F),
        _ => return None,
    };
    Some(format!(
        "the broker refuses the connection: {why} ({number:#04X})"
    ))
}

fn disconnected(code: Ended, said: Option<&str>) -> String {
    let why = match code {
        Ended::ServerShuttingDown => "it shuts down",
        Ended::ServerBusy => "it is busy",
        Ended::KeepAliveTimeout => "it heard nothing for too long",
        Ended::QuotaExceeded => "a quota is used up",
        Ended::PacketTooLarge => "a packet was too large for it",
        Ended::ReceiveMaximumExceeded => "too many publishes were in flight for it",
        Ended::AdministrativeAction => "its administrator ended the connection",
        Ended::NotAuthorized => "this board is not allowed to go on",
        Ended::ConnectionRateExceeded | Ended::MessageRateTooHigh => "too much came at a time",
        _ => "it gave a reason of its own",
    };
    let number = code as u8;
    match said {
        Some(said) => format!("the broker ended the connection: {why} ({number:#04X}, {said:?})"),
        None => format!("the broker ended the connection: {why} ({number:#04X})"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tls::KEYS;
    use super::*;

    const ACCEPTED: Tried<'_> = Tried {
        names: &KEYS,
        tls: false,
        user: None,
        accepted: true,
    };

    #[test]
    fn the_broker_s_last_word_is_kept() {
        let ended = |reason_code, said: Option<&str>| {
            let error = ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code,
                reason_string: said.map(str::to_owned),
            });
            Loss::of(&error, &ACCEPTED)
        };
        assert_eq!(ended(Ended::SessionTakenOver, None), Loss::TakenOver);
        let text = ended(Ended::ServerShuttingDown, Some("update")).to_string();
        assert!(
            text.contains("0x8B") && text.contains("\"update\""),
            "{text}"
        );
    }

    #[test]
    fn an_end_without_a_word_is_told_from_a_refusal() {
        let error = ConnectionError::MqttState(StateError::ConnectionAborted);
        assert_eq!(Loss::of(&error, &ACCEPTED), Loss::Closed);
        let tried = Tried {
            accepted: false,
            ..ACCEPTED
        };
        let text = Loss::of(&error, &tried).to_string();
        assert!(text.contains("MQTT 5"), "{text}");
        let busy = ConnectionError::ConnectionRefused(Refused::ServerBusy);
        let text = Loss::of(&busy, &tried).to_string();
        assert!(text.contains("0x89"), "{text}");
    }
}
