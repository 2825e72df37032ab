//! What can go wrong between a question and its answer, in sentences for the person who has
//! to act.

use crate::sensor::PollError;

/// A question without a usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}, unit {unit}: {kind}")]
pub(super) struct Fault {
    /// Endpoint or serial device.
    pub line: String,
    pub unit: u8,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FaultKind {
    #[error("can't be opened: {0}")]
    Open(String),
    #[error(
        "no answer within {timeout_ms} ms; check that the meter is on and wired, and that {settings} \
         are those of its menu"
    )]
    Timeout {
        timeout_ms: u64,
        /// What a wrong setting of would look like this.
        settings: &'static str,
    },
    #[error("the connection broke off: {0}; it is opened again")]
    Broken(String),
    #[error(
        "the answer belongs to another question ({0}); it was thrown away and the connection is \
         opened again. If it stays so: two meters with one unit number, a second master, or a \
         gateway that needs a longer timeout_ms"
    )]
    Mismatch(String),
    #[error(
        "{asked} registers were asked for and {answered} came; they were thrown away, and the \
         connection is opened again"
    )]
    Length { asked: u16, answered: usize },
    #[error(
        "something spoke before it was asked; it was thrown away, and the connection is opened \
         again. If it stays so: another master is on this line"
    )]
    Unsolicited,
    #[error("the line does not fall silent: another master is on it, or baud or parity are wrong")]
    Noise,
    /// The meter answered that it can't.
    #[error("the meter refused registers {first} to {last}: {}", .exception.words())]
    Refused {
        first: u16,
        last: u16,
        exception: Exception,
    },
    #[error("{0}")]
    NoMeter(String),
}

/// Exception codes of the Modbus application protocol, section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exception {
    IllegalFunction,
    IllegalDataAddress,
    IllegalDataValue,
    ServerDeviceFailure,
    Acknowledge,
    ServerDeviceBusy,
    MemoryParityError,
    GatewayPathUnavailable,
    GatewayTargetDevice,
    Other(u8),
}

impl From<u8> for Exception {
    fn from(code: u8) -> Exception {
        match code {
            0x01 => Exception::IllegalFunction,
            0x02 => Exception::IllegalDataAddress,
            0x03 => Exception::IllegalDataValue,
            0x04 => Exception::ServerDeviceFailure,
            0x05 => Exception::Acknowledge,
            0x06 => Exception::ServerDeviceBusy,
            0x08 => Exception::MemoryParityError,
            0x0a => Exception::GatewayPathUnavailable,
            0x0b => Exception::GatewayTargetDevice,
            other => Exception::Other(other),
        }
    }
}

impl Exception {
    /// Its name, and what to try.
    fn words(self) -> String {
        let words = match self {
            Exception::IllegalFunction => {
                "illegal function (code 1): is it another meter than the map's?"
            }
            Exception::IllegalDataAddress => {
                "illegal data address (code 2): is it another meter than the map's?"
            }
            Exception::IllegalDataValue => {
                "illegal data value (code 3): the meter gives fewer registers at once; leave \
                 voltage or current out of a map of your own"
            }
            Exception::ServerDeviceFailure => "server device failure (code 4)",
            Exception::Acknowledge => "acknowledge (code 5): it needs longer",
            Exception::ServerDeviceBusy => "server device busy (code 6)",
            Exception::MemoryParityError => "memory parity error (code 8)",
            Exception::GatewayPathUnavailable => {
                "gateway path unavailable (code 10): the gateway has no line for this unit"
            }
            Exception::GatewayTargetDevice => {
                "gateway target device failed to respond (code 11): is the meter behind the \
                 gateway on, and its unit number right?"
            }
            Exception::Other(code) => return format!("exception code {code}, which has no name"),
        };
        words.to_owned()
    }

    /// Whether it may pass by itself within moments.
    fn passes(self) -> bool {
        matches!(self, Exception::Acknowledge | Exception::ServerDeviceBusy)
    }
}

impl From<Fault> for PollError {
    fn from(fault: Fault) -> PollError {
        match fault.kind {
            FaultKind::Refused { exception, .. } if exception.passes() => {
                PollError::Retry(fault.to_string())
            }
            _ => PollError::Fatal(fault.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> Fault {
        Fault {
            line: "/dev/ttyUSB0".into(),
            unit: 7,
            kind,
        }
    }

    #[test]
    fn a_fault_names_line_unit_and_what_to_try() {
        let text = fault(FaultKind::Timeout {
            timeout_ms: 1000,
            settings: "unit, baud and parity",
        })
        .to_string();
        assert!(
            text.starts_with("/dev/ttyUSB0, unit 7: no answer within 1000 ms"),
            "{text}"
        );
        assert!(text.contains("unit, baud and parity are"), "{text}");
    }

    #[test]
    fn every_exception_has_a_name_and_only_the_passing_ones_are_retried() {
        for code in 0..=255 {
            let exception = Exception::from(code);
            let text = exception.words();
            assert!(text.contains(&format!("code {code}")), "{text}");
            let kind = FaultKind::Refused {
                first: 0,
                last: 1,
                exception,
            };
            let retried = matches!(PollError::from(fault(kind)), PollError::Retry(_));
            assert_eq!(retried, matches!(code, 5 | 6), "{code}");
        }
    }
}
