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
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "explain" -d 'Show what the uncertainty of a figure is made of, line by line'
complete -c joulectl -n "__fish_joulectl_needs_command" -f -a "models" -d 'List, fetch and verify the models of boards'
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
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l kind -d '`generate` (from a prompt) or `bench` (as llama-bench does) [default: generate]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s m -l model -d 'A model in the board\'s model directory' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l model-sha256 -d 'Run it only with this very file' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s p -l prompt -d 'The text to go on from, as it is' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l message -d 'What a user says to the model, through the model\'s own chat template' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s n -l n-predict -d 'Tokens to generate [default: 128]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-prompt -d 'bench: tokens of the prompt [default: 512]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-gen -d 'bench: tokens to generate [default: 128]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-depth -d 'bench: tokens in the context before [default: 0]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s r -l repetitions -d 'How often the work is measured [default: 3]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l warmup -d 'How often it runs before, unmeasured [default: 1]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -s t -l threads -d 'Threads of the engine [default: one for each CPU]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-ctx -d 'Tokens of context [default: 2048]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l n-batch -d 'Tokens evaluated at a time in prefill [default: 512]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l gpu-layers -d 'Layers on the GPU [default: 0]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand submit" -l seed -d 'Seed of the sampler [default: 42]' -r
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
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -l include-marked -d 'Count runs that were contended, throttled or did not succeed all the same'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -l json -d 'Print JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand compare" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -s o -l out -d 'Where the report goes; `-` is the standard output [default: jouled-report.html; Markdown and CSV go to the standard output]' -r -F
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -l format -d 'What it is written as [default: what the name of FILE ends with, else html]' -r -f -a "html\t'One file with pictures, which loads nothing'
md\t'Tables and method in Markdown'
csv\t'One row a configuration, with every figure in full'"
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -l title -d 'The heading [default: the model, or how many there are]' -r
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -l include-marked -d 'Count runs that were contended, throttled or did not succeed all the same'
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c joulectl -n "__fish_joulectl_using_subcommand report" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -s l -l list -d 'List the figures that the record has'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -l json -d 'Print JSON'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand explain" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch verify help" -s h -l help -d 'Print help'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch verify help" -s V -l version -d 'Print version'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch verify help" -f -a "list" -d 'List the models of boards, and what their catalogues offer'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch verify help" -f -a "fetch" -d 'Have boards fetch models of their catalogues'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch verify help" -f -a "verify" -d 'Compare the SHA-256 of the boards\' models with their catalogues'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and not __fish_seen_subcommand_from list fetch verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
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
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Compare the SHA-256 of the boards\' models with their catalogues'
complete -c joulectl -n "__fish_joulectl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
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
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "demo" -d 'Show the whole way on this machine: broker, model, daemon, job, result'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "submit" -d 'Send a job, or several, to a board or to the least busy one of a group'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "keygen" -d 'Make a key to sign jobs with, for boards that take signed jobs only'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "jobs" -d 'List a board\'s queue and its last jobs'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "watch" -d 'Watch all boards of a broker live, or one'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "queue" -d 'Show, pause, drain or open a board\'s queue'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "recompute" -d 'Make an attempt\'s figures again from its raw data, and compare them with the published'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "export" -d 'Write an attempt\'s raw data as tables for plotting'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "collect" -d 'Write what boards publish into a dataset: Parquet, SQLite or CSV'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "compare" -d 'Say which of two configurations costs less, or that the noise doesn\'t tell'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "report" -d 'Make one page of a dataset or of results: tables, pictures, method'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "explain" -d 'Show what the uncertainty of a figure is made of, line by line'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "models" -d 'List, fetch and verify the models of boards'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "cancel" -d 'Cancel a job, whether it waits or runs'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and not __fish_seen_subcommand_from demo submit keygen jobs watch queue recompute export collect compare report explain models cancel help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "list" -d 'List the models of boards, and what their catalogues offer'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "fetch" -d 'Have boards fetch models of their catalogues'
complete -c joulectl -n "__fish_joulectl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "verify" -d 'Compare the SHA-256 of the boards\' models with their catalogues'
