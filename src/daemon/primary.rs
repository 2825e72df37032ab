//! Which rail the headline figures are of.

use crate::sampler::SensorReport;
use crate::sensor::RailSpec;

/// The index, among the rails of all sensors in their order, of the rail called `name`, or
/// of the one that stands for the sensor called `name`. Without a name that of the only
/// sensor, unless there would be others if every one worked: the headline figure must not
/// change its boundary by itself.
pub fn of(name: Option<&str>, sensors: &[SensorReport], all_work: bool) -> Option<usize> {
    let rails = || sensors.iter().flat_map(|sensor| &sensor.rails);
    let wanted = match name {
        Some(name) => rails().find(|rail| rail.name == name).or_else(|| {
            let sensor = sensors.iter().find(|sensor| sensor.name == name)?;
            standing_for(sensor)
        }),
        None => match sensors {
            [only] if all_work => standing_for(only),
            _ => None,
        },
    }?;
    rails().position(|rail| rail.name == wanted.name)
}

/// The sum that the board's profile states, or the one rail that no other rail of the sensor
/// contains.
fn standing_for(sensor: &SensorReport) -> Option<&RailSpec> {
    let total = format!("{}.total", sensor.name);
    if let Some(total) = sensor.rails.iter().find(|rail| rail.name == total) {
        return Some(total);
    }
    let is_inside = |rail: &&RailSpec| {
        let outside = rail.contained_in.as_deref();
        sensor
            .rails
            .iter()
            .any(|other| outside == Some(other.name.as_str()))
    };
    let mut outermost = sensor.rails.iter().filter(|rail| !is_inside(rail));
    match (outermost.next(), outermost.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing::rail;
    use crate::record::device::SensorState;

    fn sensor(name: &str, rails: &[(&str, Option<&str>)]) -> SensorReport {
        let rails = rails.iter().map(|(name, outside)| RailSpec {
            contained_in: outside.map(str::to_owned),
            ..rail(name)
        });
        SensorReport {
            name: name.to_owned(),
            rails: rails.collect(),
            missed_deadlines: 0,
            dropped: 0,
            errors: 0,
            state: SensorState::Ok,
            reason: None,
        }
    }

    fn alone(name: &str) -> SensorReport {
        sensor(name, &[(name, None)])
    }

    #[test]
    fn the_primary_rail_is_the_named_or_the_only_one_and_never_what_is_left() {
        let both = [alone("wall"), alone("input")];
        let left = [alone("input")];
        assert_eq!(of(Some("input"), &both, true), Some(1));
        assert_eq!(of(Some("input"), &left, false), Some(0));
        assert_eq!(of(Some("wall"), &left, false), None);
        assert_eq!(of(None, &both, true), None);
        assert_eq!(of(None, &left, true), Some(0));
        assert_eq!(of(None, &left, false), None);
        assert_eq!(of(None, &[], true), None);
    }

    #[test]
    fn a_sensor_stands_for_its_total() {
        let parts = [
            ("m.gpu", Some("m.total")),
            ("m.cpu", Some("m.total")),
            ("m.vin", None),
            ("m.total", Some("m.vin")),
        ];
        let sensors = [alone("wall"), sensor("m", &parts)];
        assert_eq!(of(Some("m"), &sensors, true), Some(4));
        assert_eq!(of(Some("m.cpu"), &sensors, true), Some(2));
        assert_eq!(of(None, &sensors[1..], true), Some(3));
    }

    #[test]
    fn a_sensor_stands_for_the_rail_around_its_others_if_there_is_one() {
        let inside = [
            ("m.soc", Some("m.in")),
            ("m.in", Some("wall")),
            ("m.gpu", Some("m.soc")),
        ];
        let nested = [sensor("m", &inside), alone("wall")];
        assert_eq!(of(Some("m"), &nested, true), Some(1));
        let apart = [sensor("m", &[("m.a", None), ("m.b", None)])];
        assert_eq!(of(Some("m"), &apart, true), None);
        assert_eq!(of(None, &apart, true), None);
    }
}
