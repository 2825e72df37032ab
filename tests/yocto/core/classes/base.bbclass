PACKAGECONFIG_CONFARGS ??= ""

# PACKAGECONFIG[name] = "when on, when off, build needs, run needs"
python () {
    chosen = (d.getVar('PACKAGECONFIG') or '').split()
    known = d.getVarFlags('PACKAGECONFIG') or {}
    for name in chosen:
        if name not in known:
            bb.fatal('%s: PACKAGECONFIG %s is not known' % (d.getVar('PN'), name))
    for name in sorted(known):
        if name == 'doc':
            continue
        on, off, build, run = (known[name].split(',') + [''] * 4)[:4]
        d.appendVar('PACKAGECONFIG_CONFARGS', ' ' + (on if name in chosen else off).strip())
        if name in chosen:
            d.appendVar('DEPENDS', ' ' + build.strip())
            d.appendVar('RDEPENDS:' + d.getVar('PN'), ' ' + run.strip())
}

do_install() {
    :
}
addtask install
