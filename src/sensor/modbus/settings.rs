//! What a `[[sensor]]` block of kind "modbus" says, checked.

use super::line::Address;
use super::map::MeterMap;
use super::meters::{self, Meter};
use crate::sensor::{ConfigError, SensorConfig};
use crate::units::Span;

/// Answers to every unit number when it is the only meter on the line.
const GENERAL_ADDRESS: u8 = 0xf8;
/// The number of a device that is no gateway (Modbus on TCP/IP, section 4.4.2.3).
const TCP_DEVICE: u8 = 255;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub address: Address,
    pub unit: u8,
    pub timeout: Span,
    pub meter: Meter,
}

impl Settings {
    pub fn of(config: &SensorConfig) -> Result<Settings, ConfigError> {
        let meter = meter(config)?;
        let map = meter.map();
        let address = address(config, map)?;
        let default_timeout_ms = match address {
            Address::Tcp { .. } => 500,
            Address::Rtu { .. } => 1000,
        };
        let timeout_ms = config.timeout_ms.unwrap_or(default_timeout_ms);
        if !(10..=60_000).contains(&timeout_ms) {
            let value = timeout_ms.to_string();
            return Err(range(config, "timeout_ms", value, "10 to 60000 ms"));
        }
        let unit = config.unit.unwrap_or(1);
        let allowed = match unit {
            1..=247 => true,
            GENERAL_ADDRESS => map.general_address,
            TCP_DEVICE => matches!(address, Address::Tcp { .. }),
            _ => false,
        };
        if !allowed {
            let allowed = "1 to 247; 248 (0xF8) for a single PZEM, 255 for a TCP device that is no \
                           gateway";
            return Err(range(config, "unit", unit.to_string(), allowed));
        }
        Ok(Settings {
            address,
            unit,
            timeout: Span::from_millis(u64::from(timeout_ms)),
            meter,
        })
    }
}

fn meter(config: &SensorConfig) -> Result<Meter, ConfigError> {
    match (&config.meter, &config.map) {
        (Some(name), None) => meters::find(name)
            .ok_or_else(|| range(config, "meter", format!("\"{name}\""), meters::KNOWN)),
        (None, Some(map)) => match map.check() {
            Ok(()) => Ok(Meter::Map(Box::new(map.clone()))),
            Err(fault) => Err(range(config, "map", fault.value, fault.allowed)),
        },
        (None, None) => Err(config.missing(
            "meter",
            "the meter's name, such as \"sdm630\" (docs/configuration.md lists them), or a map of \
             its registers under `map`",
        )),
        (Some(_), Some(_)) => {
            let allowed = "state meter or map, not both";
            Err(range(config, "map", "stated".to_owned(), allowed))
        }
    }
}

fn address(config: &SensorConfig, map: &MeterMap) -> Result<Address, ConfigError> {
    let superfluous = |key, stated: bool, allowed| match stated {
        true => Err(range(config, key, "stated".to_owned(), allowed)),
        false => Ok(()),
    };
    match config.transport.as_deref() {
        Some("tcp") => {
            let only_rtu = "it belongs to transport = \"rtu\"; remove it";
            superfluous("device", config.device.is_some(), only_rtu)?;
            superfluous("baud", config.baud.is_some(), only_rtu)?;
            superfluous("parity", config.parity.is_some(), only_rtu)?;
            let Some(endpoint) = &config.endpoint else {
                let what = "host and port, such as \"192.168.1.20:502\", for transport = \"tcp\"";
                return Err(config.missing("endpoint", what));
            };
            let host_and_port = endpoint.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !host_and_port {
                let allowed = "host:port, such as \"192.168.1.20:502\"";
                return Err(range(
                    config,
                    "endpoint",
                    format!("\"{endpoint}\""),
                    allowed,
                ));
            }
            Ok(Address::Tcp {
                endpoint: endpoint.clone(),
            })
        }
        Some("rtu") => {
            let only_tcp = "it belongs to transport = \"tcp\"; remove it";
            superfluous("endpoint", config.endpoint.is_some(), only_tcp)?;
            let Some(device) = &config.device else {
                let what = "the serial port, such as \"/dev/ttyUSB0\", for transport = \"rtu\"";
                return Err(config.missing("device", what));
            };
            let baud = config.baud.unwrap_or(map.baud);
            if !(300..=4_000_000).contains(&baud) {
                return Err(range(config, "baud", baud.to_string(), "300 to 4000000"));
            }
            Ok(Address::Rtu {
                device: device.clone(),
                baud,
                parity: config.parity.unwrap_or(map.parity),
            })
        }
        Some(other) => {
            let allowed = "\"tcp\" or \"rtu\"";
            Err(range(config, "transport", format!("\"{other}\""), allowed))
        }
        None => Err(config.missing("transport", "\"tcp\" or \"rtu\"")),
    }
}

fn range(
    config: &SensorConfig,
    key: &'static str,
    value: String,
    allowed: &'static str,
) -> ConfigError {
    ConfigError::Range {
        sensor: config.name.clone(),
        key,
        value,
        allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::Parity;

    const RTU: &str = "name = \"wall\"\nkind = \"modbus\"\nboundary = \"wall\"\n\
                       transport = \"rtu\"\ndevice = \"/dev/ttyUSB0\"\nmeter = \"sdm120\"\n";
    const TCP: &str = "name = \"wall\"\nkind = \"modbus\"\nboundary = \"wall\"\n\
                       transport = \"tcp\"\nendpoint = \"10.0.0.2:502\"\nmeter = \"sdm630\"\n";

    fn config(text: &str) -> SensorConfig {
        toml::from_str(text).unwrap()
    }

    fn key(text: &str) -> String {
        config(text).check().unwrap_err().key().to_owned()
    }

    #[test]
    fn the_meter_brings_its_line_and_the_block_overrides_it() {
        let settings = Settings::of(&config(RTU)).unwrap();
        assert_eq!(settings.unit, 1);
        assert_eq!(settings.timeout, Span::from_millis(1000));
        let address = |baud, parity| Address::Rtu {
            device: "/dev/ttyUSB0".into(),
            baud,
            parity,
        };
        assert_eq!(settings.address, address(2400, Parity::None));
        let own = format!("{RTU}baud = 9600\nparity = \"even\"");
        let settings = Settings::of(&config(&own)).unwrap();
        assert_eq!(settings.address, address(9600, Parity::Even));
        let settings = Settings::of(&config(TCP)).unwrap();
        assert_eq!(settings.timeout, Span::from_millis(500));
    }

    #[test]
    fn errors_name_the_key() {
        let without = |text: &str, key: &str| {
            let lines = text.lines().filter(|line| !line.starts_with(key));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(key(&without(RTU, "device")), "device");
        assert_eq!(key(&without(TCP, "endpoint")), "endpoint");
        assert_eq!(key(&without(TCP, "transport")), "transport");
        assert_eq!(key(&without(TCP, "meter")), "meter");
        assert_eq!(key(&without(TCP, "boundary")), "boundary");
        assert_eq!(key(&TCP.replace("\"tcp\"", "\"udp\"")), "transport");
        assert_eq!(key(&TCP.replace(":502", "")), "endpoint");
        assert_eq!(key(&format!("{TCP}baud = 9600")), "baud");
        assert_eq!(key(&format!("{TCP}device = \"/dev/ttyS0\"")), "device");
        assert_eq!(key(&format!("{RTU}endpoint = \"a:1\"")), "endpoint");
        assert_eq!(key(&format!("{RTU}baud = 50")), "baud");
        assert_eq!(key(&format!("{RTU}timeout_ms = 1")), "timeout_ms");
        assert_eq!(key(&format!("{RTU}unit = 0")), "unit");
        assert_eq!(key(&format!("{RTU}unit = 248")), "unit");
        assert_eq!(key(&format!("{RTU}unit = 255")), "unit");
        assert_eq!(key(&format!("{TCP}waveform = \"constant:1\"")), "waveform");
        config(&format!("{TCP}unit = 255")).check().unwrap();
        let pzem = RTU.replace("sdm120", "pzem-004t");
        config(&format!("{pzem}unit = 0xf8")).check().unwrap();
    }

    #[test]
    fn an_unknown_meter_lists_the_known_ones() {
        let error = config(&TCP.replace("sdm630", "sdm631")).check();
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("sdm630") && text.contains("sunspec"),
            "{text}"
        );
    }

    #[test]
    fn a_map_of_ones_own_takes_the_meters_place() {
        let map = "[map]\nfunction = 4\npower = { address = 12, type = \"f32\", unit = \"W\" }\n";
        assert_eq!(key(&format!("{TCP}{map}")), "map");
        let own = TCP.replace("meter = \"sdm630\"\n", map);
        config(&own).check().unwrap();
        let wrong = own.replace("unit = \"W\"", "unit = \"A\"");
        let text = config(&wrong).check().unwrap_err().to_string();
        assert!(text.contains("power with unit A"), "{text}");
    }
}
