# nooelint: oelint.var.suggestedvar.BUGTRACKER,oelint.var.suggestedvar.CVE_PRODUCT - an image has neither
SUMMARY = "A board that measures the energy of language-model tokens"
DESCRIPTION = "A small image with jouled as a service and SSH by key. No account has a password."
SECTION = "images"
LICENSE = "MIT"

inherit core-image features_check

# jouled is a systemd service; there is no init script.
REQUIRED_DISTRO_FEATURES = "systemd"

IMAGE_FEATURES += "ssh-server-openssh"
IMAGE_INSTALL += "\
    i2c-tools \
    jouled \
    tzdata \
"

# The file on this machine with the public keys that may log in as root.
JOULED_AUTHORIZED_KEYS ?= ""
do_rootfs[file-checksums] += "${@d.getVar('JOULED_AUTHORIZED_KEYS') + ':True' if d.getVar('JOULED_AUTHORIZED_KEYS') else ''}"

jouled_authorize_keys[doc] = "Lets the holders of the given SSH keys log in as root"
jouled_authorize_keys() {
    if [ -n "${JOULED_AUTHORIZED_KEYS}" ]; then
        install -d -m 0700 ${IMAGE_ROOTFS}${ROOT_HOME}/.ssh
        install -m 0600 "${JOULED_AUTHORIZED_KEYS}" ${IMAGE_ROOTFS}${ROOT_HOME}/.ssh/authorized_keys
    else
        bbwarn "Nobody can log in to this image: set JOULED_AUTHORIZED_KEYS to a file of public SSH keys"
    fi
}
ROOTFS_POSTPROCESS_COMMAND += "jouled_authorize_keys"
