# What jouled wants of a kernel, for whatever kernel the machine has:
#   KERNEL_CLASSES:append = " jouled_kernel"
# A class instead of appends to linux-yocto, linux-raspberrypi and the Jetsons' kernels: it names
# none of them, and changes nothing where nobody asked for it.

# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext - other layers' kernels find it nowhere else
FILESEXTRAPATHS:prepend := "${@os.path.dirname(bb.utils.which(d.getVar('BBPATH'), 'files/jouled.cfg'))}:"
SRC_URI:append = " file://jouled.cfg"
