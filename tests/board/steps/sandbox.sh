# The rights of the installed unit for another command.

# in_sandbox USER COMMAND...
in_sandbox() {
  local user="$1" line rights=()
  shift
  while read -r line; do
    rights+=(-p "$line")
  done < <(systemctl cat jouled.service | grep -E \
    '^(Capability|Ambient|NoNew|Protect|Private|Device|Restrict|Lock|Memory|SystemCall|UMask|Limit|Remove|ProcSubset|StateDirectory=)')
  systemd-run --quiet --wait --pipe --collect -p User="$user" -p Group=jouled \
    -p SupplementaryGroups=jouled "${rights[@]}" "$@"
}
