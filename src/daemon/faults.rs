//! Tells the lab when a sensor fails and when it works again.

use crate::record::answer::Event;
use crate::record::device::SensorState;
use crate::sampler::SensorReport;

/// The sensors' states when they were last looked at.
#[derive(Default)]
pub struct Faults {
    before: Option<Vec<SensorState>>,
}

impl Faults {
    /// An event for each sensor whose state has changed. All work at the first look; one that
    /// comes later could not be opened before.
    pub fn changes(&mut self, sensors: &[SensorReport]) -> Vec<Event> {
        let at_start = || vec![SensorState::Ok; sensors.len()];
        let before = self.before.get_or_insert_with(at_start);
        before.resize(sensors.len(), SensorState::Failed);
        before
            .iter_mut()
            .zip(sensors)
            .filter(|(before, sensor)| **before != sensor.state)
            .map(|(before, sensor)| {
                *before = sensor.state;
                let name = &sensor.name;
                let (code, message) = match (sensor.state, &sensor.reason) {
                    (SensorState::Ok, _) => ("sensor-recovered", format!("{name}: works again")),
                    (SensorState::Failed, reason) => (
                        "sensor-failed",
                        format!("{name}: {}", reason.as_deref().unwrap_or("reason unknown")),
                    ),
                };
                Event {
                    code: code.to_owned(),
                    message,
                    id: None,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reason: Option<&str>) -> SensorReport {
        SensorReport {
            name: "input".to_owned(),
            rails: Vec::new(),
            missed_deadlines: 0,
            dropped: 0,
            errors: 0,
            state: match reason {
                Some(_) => SensorState::Failed,
                None => SensorState::Ok,
            },
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let mut faults = Faults::default();
        let mut codes = |reason| -> Vec<String> {
            let events = faults.changes(&[report(reason)]);
            events.into_iter().map(|event| event.code).collect()
        };
        assert!(codes(None).is_empty());
        assert_eq!(codes(Some("pulled")), ["sensor-failed"]);
        assert!(codes(Some("still pulled")).is_empty());
        assert_eq!(codes(None), ["sensor-recovered"]);
    }

    #[test]
    fn a_sensor_that_comes_late_recovers() {
        let mut faults = Faults::default();
        assert!(faults.changes(&[report(None)]).is_empty());
        let events = faults.changes(&[report(None), report(None)]);
        assert_eq!(events[0].code, "sensor-recovered");
        assert_eq!(events.len(), 1);
    }
}
