//! The machine that a comparison was made on.

/// One line: CPU, threads, kernel, and how contended the last five minutes were.
pub fn describe(threads: usize) -> String {
    format!(
        "machine     {}, {threads} threads, Linux {}, CPU pressure (some, 300 s) {}",
        cpu_model(),
        first_line("/proc/sys/kernel/osrelease"),
        pressure(),
    )
}

fn cpu_model() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(':'))
        .map(|(_, model)| model.trim().to_owned())
        // ARM kernels name no model there; the board's name stands in the device tree.
        .unwrap_or_else(|| first_line("/proc/device-tree/model"))
}

fn pressure() -> String {
    std::fs::read_to_string("/proc/pressure/cpu")
        .ok()
        .and_then(|psi| {
            let some = psi.lines().find(|line| line.starts_with("some"))?;
            let share = some.split_once("avg300=")?.1.split(' ').next()?;
            Some(format!("{share} %"))
        })
        .unwrap_or_else(|| "not reported by this kernel".to_owned())
}

fn first_line(path: &str) -> String {
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| Some(text.lines().next()?.trim_end_matches('\0').to_owned()))
        .unwrap_or_else(|| "unknown".to_owned())
}
