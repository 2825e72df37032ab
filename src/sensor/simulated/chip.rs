//! An INA219 at the level of its registers, behind embedded-hal's I2C trait.
//!
//! Time is the caller's clock: the state of the converter at any access follows from the
//! moment of the last configuration write. Registers, flags and codes are those of TI
//! SBOS448G. Each result holds the mean of the waveform over its own conversion windows.

use super::Waveform;
use crate::clock::Clock;
use crate::units::{MonoNs, Ohms, Span, Volts};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

const RESET: u16 = 0x8000;
const POWER_ON: u16 = 0x399f;

/// What the chip is wired to.
#[derive(Debug)]
pub struct Wiring {
    pub address: u8,
    pub shunt: Ohms,
    pub bus: Volts,
    pub current: Waveform,
    pub unit: Unit,
}

/// How this unit differs from the perfect one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Length of its conversions over the typical one: 0.9 to 1.1.
    pub clock_ratio: f64,
    /// Shunt voltage that it indicates without any current.
    pub offset: Volts,
    /// Indicated over true shunt voltage: the shunt's tolerance and the chip's gain together.
    pub gain: f64,
    /// Indicated over true bus voltage.
    pub bus_gain: f64,
}

impl Default for Unit {
    fn default() -> Self {
        Unit {
            clock_ratio: 1.0,
            offset: Volts(0.0),
            gain: 1.0,
            bus_gain: 1.0,
        }
    }
}

/// The chip and its converter.
#[derive(Debug)]
pub struct Chip<C> {
    clock: C,
    wiring: Wiring,
    configuration: u16,
    calibration: u16,
    pointer: u8,
    /// When the conversions under the present configuration began.
    started: MonoNs,
    /// Cycles completed when the ready flag was last cleared.
    cleared: u64,
    shunt_code: i16,
    bus_code: u16,
    /// Conversions whose results stand in the registers, counted from `started`.
    shunt_done: u64,
    bus_done: u64,
}

/// Nobody answers at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no acknowledge")]
pub struct NoAcknowledge;

impl embedded_hal::i2c::Error for NoAcknowledge {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
    }
}

/// One of the two converters as the configuration sets it.
struct Adc {
    conversions: u32,
    each: f64,
    coarseness: i32,
}

impl Adc {
    /// Table 5: the code's typical times in µs.
    fn from_code(code: u16, ratio: f64) -> Adc {
        let (conversions, total_us, coarseness) = match code {
            0b0000 | 0b0100 => (1, 84.0, 8),
            0b0001 | 0b0101 => (1, 148.0, 4),
            0b0010 | 0b0110 => (1, 276.0, 2),
            0b0011 | 0b0111 | 0b1000 => (1, 532.0, 1),
            0b1001 => (2, 1_060.0, 1),
            0b1010 => (4, 2_130.0, 1),
            0b1011 => (8, 4_260.0, 1),
            0b1100 => (16, 8_510.0, 1),
            0b1101 => (32, 17_020.0, 1),
            0b1110 => (64, 34_050.0, 1),
            _ => (128, 68_100.0, 1),
        };
        Adc {
            conversions,
            each: total_us * 1e3 * ratio / f64::from(conversions),
            coarseness,
        }
    }

    fn length(&self) -> f64 {
        self.each * f64::from(self.conversions)
    }
}

impl<C: Clock> Chip<C> {
    pub fn new(wiring: Wiring, clock: C) -> Chip<C> {
        let started = clock.now();
        Chip {
            clock,
            wiring,
            configuration: POWER_ON,
            calibration: 0,
            pointer: 0,
            started,
            cleared: 0,
            shunt_code: 0,
            bus_code: 0,
            shunt_done: 0,
            bus_done: 0,
        }
    }

    /// What a dip of the supply does: everything as after power-on.
    pub fn power_on_reset(&mut self) {
        self.configuration = POWER_ON;
        self.calibration = 0;
        self.pointer = 0;
        self.shunt_code = 0;
        self.bus_code = 0;
        self.restart();
    }

    fn restart(&mut self) {
        self.started = self.clock.now();
        self.cleared = 0;
        self.shunt_done = 0;
        self.bus_done = 0;
    }

    fn shunt_adc(&self) -> Option<Adc> {
        (self.configuration & 0b001 != 0)
            .then(|| Adc::from_code(self.configuration >> 3 & 0xf, self.wiring.unit.clock_ratio))
    }

    fn bus_adc(&self) -> Option<Adc> {
        (self.configuration & 0b010 != 0)
            .then(|| Adc::from_code(self.configuration >> 7 & 0xf, self.wiring.unit.clock_ratio))
    }

    fn continuous(&self) -> bool {
        self.configuration & 0b100 != 0
    }

    /// Brings the registers to the present and returns the cycles completed. In each cycle
    /// the shunt is converted first, then the bus.
    fn advance(&mut self) -> u64 {
        let shunt = self.shunt_adc();
        let bus = self.bus_adc();
        let shunt_ns = shunt.as_ref().map_or(0.0, Adc::length);
        let cycle_ns = shunt_ns + bus.as_ref().map_or(0.0, Adc::length);
        if cycle_ns == 0.0 {
            return 0;
        }
        let elapsed = self.clock.now().since(self.started).0 as f64;
        let mut cycles = (elapsed / cycle_ns) as u64;
        let shunt_ready = elapsed - cycles as f64 * cycle_ns >= shunt_ns;
        let mut shunts = cycles + u64::from(shunt_ready);
        if !self.continuous() {
            cycles = cycles.min(1);
            shunts = shunts.min(1);
        }
        if let Some(adc) = shunt
            && shunts > self.shunt_done
        {
            self.shunt_done = shunts;
            self.shunt_code = self.convert_shunt(&adc, (shunts - 1) as f64 * cycle_ns);
        }
        if let Some(adc) = bus
            && cycles > self.bus_done
        {
            self.bus_done = cycles;
            self.bus_code = self.convert_bus(&adc);
        }
        cycles
    }

    /// The code, in 10 µV, of the conversions that begin `offset_ns` after the start. Each
    /// conversion is clipped and quantised by itself, then averaged, as in the chip.
    fn convert_shunt(&mut self, adc: &Adc, offset_ns: f64) -> i16 {
        let gain = 1 << (self.configuration >> 11 & 0b11);
        let full_scale = 4000 * gain;
        let step = gain * adc.coarseness;
        let mut sum = 0;
        for index in 0..adc.conversions {
            let begin = offset_ns + adc.each * f64::from(index);
            let t0 = self.started + Span(begin.round() as u64);
            let t1 = self.started + Span((begin + adc.each).round() as u64);
            let Unit { offset, gain, .. } = self.wiring.unit;
            let drop_v = self.wiring.current.mean(t0, t1).0 * self.wiring.shunt.0 * gain + offset.0;
            let steps = (drop_v / (10e-6 * f64::from(step))).round() as i32;
            sum += (steps * step).clamp(-full_scale, full_scale);
        }
        // How the chip rounds is not told; to even favours neither side.
        (f64::from(sum) / f64::from(adc.conversions)).round_ties_even() as i16
    }

    fn convert_bus(&self, adc: &Adc) -> u16 {
        let full_scale = if self.configuration & 0x2000 == 0 {
            4000
        } else {
            8000
        };
        let step = 4e-3 * f64::from(adc.coarseness);
        let steps = (self.wiring.bus.0 * self.wiring.unit.bus_gain / step).round() as i32;
        (steps * adc.coarseness).clamp(0, full_scale) as u16
    }

    fn current(&self) -> i32 {
        i32::from(self.shunt_code) * i32::from(self.calibration) / 4096
    }

    fn power(&self) -> i32 {
        self.current().abs() * i32::from(self.bus_code) / 5000
    }

    fn read_register(&mut self) -> u16 {
        let cycles = self.advance();
        match self.pointer {
            0 => self.configuration,
            1 => self.shunt_code as u16,
            2 => {
                let ready = u16::from(cycles > self.cleared) << 1;
                let overflow = u16::from(
                    i16::try_from(self.current()).is_err() || u16::try_from(self.power()).is_err(),
                );
                self.bus_code << 3 | ready | overflow
            }
            3 => {
                self.cleared = cycles;
                self.power() as u16
            }
            4 => self.current() as u16,
            5 => self.calibration,
            _ => 0xffff,
        }
    }

    fn write_register(&mut self, value: u16) {
        self.advance();
        match self.pointer {
            0 if value & RESET != 0 => self.power_on_reset(),
            0 => {
                self.configuration = value;
                self.restart();
            }
            5 => self.calibration = value & 0xfffe,
            _ => {}
        }
    }
}

impl<C> ErrorType for Chip<C> {
    type Error = NoAcknowledge;
}

impl<C: Clock> I2c for Chip<C> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), NoAcknowledge> {
        if address != self.wiring.address {
            return Err(NoAcknowledge);
        }
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    if let [pointer, ..] = bytes {
                        self.pointer = *pointer;
                    }
                    if let [_, high, low] = bytes {
                        self.write_register(u16::from_be_bytes([*high, *low]));
                    }
                }
                Operation::Read(bytes) => {
                    let register = self.read_register().to_be_bytes();
                    for (byte, value) in bytes.iter_mut().zip(register) {
                        *byte = value;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::virtual_time::VirtualClock;

    fn chip(waveform: &str, clock: &VirtualClock) -> Chip<VirtualClock> {
        Chip::new(
            Wiring {
                address: 0x40,
                shunt: Ohms(0.1),
                bus: Volts(5.0),
                current: waveform.parse().unwrap(),
                unit: Unit::default(),
            },
            clock.clone(),
        )
    }

    fn read(chip: &mut Chip<VirtualClock>, register: u8) -> u16 {
        let mut bytes = [0; 2];
        chip.write_read(0x40, &[register], &mut bytes).unwrap();
        u16::from_be_bytes(bytes)
    }

    fn write(chip: &mut Chip<VirtualClock>, register: u8, value: u16) {
        let [high, low] = value.to_be_bytes();
        chip.write(0x40, &[register, high, low]).unwrap();
    }

    #[test]
    fn it_wakes_with_the_documented_configuration() {
        let clock = VirtualClock::default();
        let mut chip = chip("constant:1", &clock);
        assert_eq!(read(&mut chip, 0), 0x399f);
        write(&mut chip, 0, 0x019f);
        assert_eq!(read(&mut chip, 0), 0x019f);
        write(&mut chip, 5, 4097);
        assert_eq!(read(&mut chip, 5), 4096);
        write(&mut chip, 0, 0x8000);
        assert_eq!(read(&mut chip, 0), 0x399f);
        assert_eq!(read(&mut chip, 5), 0);
        assert!(chip.write(0x41, &[0]).is_err());
    }

    #[test]
    fn the_shunt_is_ready_before_the_bus_and_the_flag_after_both() {
        let clock = VirtualClock::default();
        let mut chip = chip("constant:1", &clock);
        clock.advance(Span::from_micros(531));
        assert_eq!(read(&mut chip, 1), 0);
        clock.advance(Span::from_micros(1));
        assert_eq!(read(&mut chip, 1), 10_000);
        assert_eq!(read(&mut chip, 2), 0);
        clock.advance(Span::from_micros(532));
        assert_eq!(read(&mut chip, 2), 1250 << 3 | 0b10);
        // Reading bus and shunt leaves the flag, reading power clears it.
        assert_eq!(read(&mut chip, 2) & 0b10, 0b10);
        read(&mut chip, 3);
        assert_eq!(read(&mut chip, 2) & 0b10, 0);
    }

    #[test]
    fn signs_and_full_scale() {
        let clock = VirtualClock::default();
        for (amps, code) in [(-1.0, -10_000), (5.0, 32_000), (-5.0, -32_000)] {
            let mut chip = chip(&format!("constant:{amps}"), &clock);
            clock.advance(Span::from_millis(2));
            assert_eq!(read(&mut chip, 1) as i16, code);
        }
        let mut smallest = chip("constant:1", &clock);
        write(&mut smallest, 0, 0x219f);
        clock.advance(Span::from_millis(2));
        assert_eq!(read(&mut smallest, 1), 4000);
    }

    #[test]
    fn calibration_gives_current_power_and_overflow() {
        let clock = VirtualClock::default();
        let mut chip = chip("constant:1", &clock);
        write(&mut chip, 5, 4096);
        clock.advance(Span::from_millis(2));
        assert_eq!(read(&mut chip, 4), 10_000);
        assert_eq!(read(&mut chip, 3), 2_500);
        write(&mut chip, 5, 0xfffe);
        assert_eq!(read(&mut chip, 2) & 1, 1);
    }

    #[test]
    fn a_triggered_conversion_happens_once() {
        let clock = VirtualClock::default();
        let mut chip = chip("constant:1", &clock);
        write(&mut chip, 0, 0x399b);
        clock.advance(Span::from_millis(5));
        assert_eq!(read(&mut chip, 2) & 0b10, 0b10);
        read(&mut chip, 3);
        clock.advance(Span::from_millis(5));
        assert_eq!(read(&mut chip, 2) & 0b10, 0);
    }

    #[test]
    fn the_register_is_the_mean_over_its_window() {
        let clock = VirtualClock::default();
        // High for 0.266 ms of each 0.532 ms: every conversion sees the same mean.
        let mut chip = chip("square:0,2,0.000532,0.5", &clock);
        clock.advance(Span::from_micros(532));
        assert_eq!(read(&mut chip, 1), 10_000);
    }
}
