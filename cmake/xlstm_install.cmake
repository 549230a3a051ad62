# `cmake --install` gives the command, the libraries, the headers under include/xlstm/, and a package
# that find_package(xlstm COMPONENTS kernels|core|layers|optim|data|train) finds.
include(CMakePackageConfigHelpers)

foreach(library kernels core layers optim data train)
  if(TARGET xlstm_${library})
    list(APPEND installed_targets xlstm_${library})
  endif()
endforeach()
install(
  TARGETS ${installed_targets}
  EXPORT xlstm-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET xlstm)
  install(TARGETS xlstm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
foreach(folder core layers optim data tools/train)
  install(
    DIRECTORY ${folder}/
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/xlstm/${folder}
    FILES_MATCHING
    PATTERN "*.h")
endforeach()
# Of kernels/ only the C interface: types.h and what declares extern "C". The other headers there hold inline code
# that depends on the compiler flags of this build.
file(GLOB kernel_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} kernels/*/*.h)
foreach(header IN LISTS kernel_headers)
  file(STRINGS ${header} linkage REGEX "^extern \"C\"")
  if(linkage)
    get_filename_component(room ${header} DIRECTORY)
    install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/xlstm/${room})
  endif()
endforeach()
install(FILES kernels/common/types.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/xlstm/kernels/common)

# For builds without CMake: pkg-config says how to link the kernels.
set(pc_libraries ${OpenMP_CXX_LIBRARIES} -lstdc++ -lm)
if(XLSTM_OPENBLAS_LIBRARY AND XLSTM_CBLAS_INCLUDE_DIR)
  list(PREPEND pc_libraries ${XLSTM_OPENBLAS_LIBRARY})
endif()
if(XLSTM_HAVE_CUDA)
  list(APPEND pc_libraries -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lpthread -ldl -lrt)
endif()
if(BUILD_SHARED_LIBS)
  set(pc_libraries -Wl,-rpath,\${libdir})
endif()
list(JOIN pc_libraries " " pc_libraries)
configure_file(cmake/xlstm_kernels.pc.in ${PROJECT_BINARY_DIR}/xlstm_kernels.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/xlstm_kernels.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/xlstm)
install(EXPORT xlstm-targets NAMESPACE xlstm:: DESTINATION ${package_dir})
configure_package_config_file(cmake/xlstm-config.cmake.in ${PROJECT_BINARY_DIR}/xlstm-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/xlstm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/xlstm-config.cmake ${PROJECT_BINARY_DIR}/xlstm-config-version.cmake
        DESTINATION ${package_dir})
