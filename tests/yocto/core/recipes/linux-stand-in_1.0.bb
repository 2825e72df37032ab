# A kernel of another layer: does the class of meta-jouled find its fragment from here?
SUMMARY = "A kernel that asked for jouled's configuration"
LICENSE = "MIT"
SRC_URI = ""
inherit_defer jouled_kernel
