# Nothing of it matters to what is checked.
IMAGE_INSTALL = "packagegroup-core-boot"
