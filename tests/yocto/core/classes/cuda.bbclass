DEPENDS:append = " cuda-libraries"
