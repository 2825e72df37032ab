# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_jouled_global_optspecs
    string join \n log= h/help V/version
end

function __fish_jouled_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_jouled_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_jouled_using_subcommand
    set -l cmd (__fish_jouled_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c jouled -n "__fish_jouled_needs_command" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_needs_command" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_needs_command" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_needs_command" -f -a "run" -d 'Run the daemon until SIGTERM or SIGINT'
complete -c jouled -n "__fish_jouled_needs_command" -f -a "check" -d 'Check a configuration without running anything'
complete -c jouled -n "__fish_jouled_needs_command" -f -a "calibrate" -d 'Find out what the sensors are off by, and store it in conf.d beside the configuration'
complete -c jouled -n "__fish_jouled_needs_command" -f -a "probe" -d 'List every power sensor that is configured or can be found, with what it reads now'
complete -c jouled -n "__fish_jouled_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c jouled -n "__fish_jouled_using_subcommand run" -l config -d 'The main configuration file; `conf.d/*.toml` beside it is read too' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand run" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand run" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand run" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand check" -l config -d 'The main configuration file; `conf.d/*.toml` beside it is read too' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand check" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand check" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand check" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -l config -d 'The main configuration file; what is found is written to conf.d beside it' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -l sensor -d 'The sensor\'s name in the configuration; lag takes several [default: all], and sampler-power none' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -l seconds -d 'Seconds that each reading lasts [default: 5], of sampler-power that all of it takes [default: 60]; not for lag' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -f -a "offset" -d 'What one sensor reads without a current: disconnect the load first'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -f -a "gain" -d 'Shunt and gain of one sensor together, against a reference meter'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -f -a "lag" -d 'How late each rail shows the load, from steps of the CPU\'s load: fix the clocks first'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -f -a "sampler-power" -d 'What reading the sensors at their configured rate takes, on the primary rail'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and not __fish_seen_subcommand_from offset gain lag sampler-power help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from offset" -l config -d 'The main configuration file; what is found is written to conf.d beside it' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from offset" -l sensor -d 'The sensor\'s name in the configuration; lag takes several [default: all], and sampler-power none' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from offset" -l seconds -d 'Seconds that each reading lasts [default: 5], of sampler-power that all of it takes [default: 60]; not for lag' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from offset" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from offset" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from offset" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -l current -d 'The true current in amperes; given twice, the load is asked for in between' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -l current-limit -d 'What the meter may be off by, relative: 0.01 is 1 %' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -l config -d 'The main configuration file; what is found is written to conf.d beside it' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -l sensor -d 'The sensor\'s name in the configuration; lag takes several [default: all], and sampler-power none' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -l seconds -d 'Seconds that each reading lasts [default: 5], of sampler-power that all of it takes [default: 60]; not for lag' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from gain" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -l steps -d 'How often the load changes, at least 20' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -l step-s -d 'Mean time between two changes, in seconds: five readings of the slowest sensor' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -l config -d 'The main configuration file; what is found is written to conf.d beside it' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -l sensor -d 'The sensor\'s name in the configuration; lag takes several [default: all], and sampler-power none' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -l seconds -d 'Seconds that each reading lasts [default: 5], of sampler-power that all of it takes [default: 60]; not for lag' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from lag" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from sampler-power" -l config -d 'The main configuration file; what is found is written to conf.d beside it' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from sampler-power" -l sensor -d 'The sensor\'s name in the configuration; lag takes several [default: all], and sampler-power none' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from sampler-power" -l seconds -d 'Seconds that each reading lasts [default: 5], of sampler-power that all of it takes [default: 60]; not for lag' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from sampler-power" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from sampler-power" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from sampler-power" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from help" -f -a "offset" -d 'What one sensor reads without a current: disconnect the load first'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from help" -f -a "gain" -d 'Shunt and gain of one sensor together, against a reference meter'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from help" -f -a "lag" -d 'How late each rail shows the load, from steps of the CPU\'s load: fix the clocks first'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from help" -f -a "sampler-power" -d 'What reading the sensors at their configured rate takes, on the primary rail'
complete -c jouled -n "__fish_jouled_using_subcommand calibrate; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c jouled -n "__fish_jouled_using_subcommand probe" -l config -d 'List the sensors of this configuration too [default: /etc/jouled/jouled.toml, if there]' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand probe" -l seconds -d 'How long to read [default: 1; with --follow, until stopped]' -r
complete -c jouled -n "__fish_jouled_using_subcommand probe" -l sysfs-root -d 'Look into a copy of /sys. I2C buses, which a copy has not, are left out' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand probe" -l devicetree-root -d 'Look into a copy of /proc/device-tree [default: the one inside --sysfs-root]' -r -F
complete -c jouled -n "__fish_jouled_using_subcommand probe" -l log -d 'What is logged: error, warn, info, debug, trace, or a filter such as jouled::mqtt=debug [default: info; error for probe]' -r
complete -c jouled -n "__fish_jouled_using_subcommand probe" -l json -d 'Print one JSON object instead of a table'
complete -c jouled -n "__fish_jouled_using_subcommand probe" -l follow -d 'Show the rails until q or Ctrl-C; where the output is no terminal, a line per rail and second'
complete -c jouled -n "__fish_jouled_using_subcommand probe" -s h -l help -d 'Print help'
complete -c jouled -n "__fish_jouled_using_subcommand probe" -s V -l version -d 'Print version'
complete -c jouled -n "__fish_jouled_using_subcommand help; and not __fish_seen_subcommand_from run check calibrate probe help" -f -a "run" -d 'Run the daemon until SIGTERM or SIGINT'
complete -c jouled -n "__fish_jouled_using_subcommand help; and not __fish_seen_subcommand_from run check calibrate probe help" -f -a "check" -d 'Check a configuration without running anything'
complete -c jouled -n "__fish_jouled_using_subcommand help; and not __fish_seen_subcommand_from run check calibrate probe help" -f -a "calibrate" -d 'Find out what the sensors are off by, and store it in conf.d beside the configuration'
complete -c jouled -n "__fish_jouled_using_subcommand help; and not __fish_seen_subcommand_from run check calibrate probe help" -f -a "probe" -d 'List every power sensor that is configured or can be found, with what it reads now'
complete -c jouled -n "__fish_jouled_using_subcommand help; and not __fish_seen_subcommand_from run check calibrate probe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c jouled -n "__fish_jouled_using_subcommand help; and __fish_seen_subcommand_from calibrate" -f -a "offset" -d 'What one sensor reads without a current: disconnect the load first'
complete -c jouled -n "__fish_jouled_using_subcommand help; and __fish_seen_subcommand_from calibrate" -f -a "gain" -d 'Shunt and gain of one sensor together, against a reference meter'
complete -c jouled -n "__fish_jouled_using_subcommand help; and __fish_seen_subcommand_from calibrate" -f -a "lag" -d 'How late each rail shows the load, from steps of the CPU\'s load: fix the clocks first'
complete -c jouled -n "__fish_jouled_using_subcommand help; and __fish_seen_subcommand_from calibrate" -f -a "sampler-power" -d 'What reading the sensors at their configured rate takes, on the primary rail'
