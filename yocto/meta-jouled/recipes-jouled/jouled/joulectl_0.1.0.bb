# nooelint: oelint.var.mandatoryvar.HOMEPAGE,oelint.var.suggestedvar.BUGTRACKER - no public address yet
SUMMARY = "Submits jobs to jouled boards, collects and reports their energy figures"
DESCRIPTION = "The lab's side of jouled: submits language-model jobs to boards over MQTT, \
               watches and collects their records, explains, compares and recomputes their figures."

require jouled.inc

CARGO_BUILD_FLAGS:append = " --features lab --bin joulectl"

# broker: the broker that joulectl demo starts where no mosquitto is installed.
PACKAGECONFIG ??= ""
PACKAGECONFIG[broker] = "--features broker"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/joulectl ${D}${bindir}/joulectl

    install -d ${D}${mandir}/man1
    install -m 0644 ${S}/man/joulectl*.1 ${D}${mandir}/man1
    install -D -m 0644 ${S}/completions/joulectl.bash ${D}${datadir}/bash-completion/completions/joulectl
    install -D -m 0644 ${S}/completions/_joulectl ${D}${datadir}/zsh/site-functions/_joulectl
    install -D -m 0644 ${S}/completions/joulectl.fish ${D}${datadir}/fish/vendor_completions.d/joulectl.fish
}

BBCLASSEXTEND = "native nativesdk"
