# One way to make a library, so that flags, include directories and install rules are the same everywhere.
function(xlstm_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(xlstm_${name} ${ARG_SOURCES}) # static unless BUILD_SHARED_LIBS
  add_library(xlstm::${name} ALIAS xlstm_${name})
  set_target_properties(xlstm_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(
    xlstm_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/xlstm>)
  target_link_libraries(xlstm_${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  xlstm_set_flags(xlstm_${name})
endfunction()

function(xlstm_set_flags target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(
    ${target}
    PRIVATE $<$<COMPILE_LANGUAGE:CXX,C>:-Wall;-Wextra;-Wconversion;-Wsign-compare;-march=${XLSTM_CPU_ARCH}>
            # GCC 12 sees overlapping copies in std::string that are not there (GCC bug 105651).
            $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>
            # When GCC tunes for AMD it leaves multiply-adds of some sums apart and not of others: the same sum in
            # two loops, over one row and over four, would not have the same bits.
            $<$<COMPILE_LANG_AND_ID:CXX,GNU>:--param=avoid-fma-max-bits=0>
            # `GCC ivdep` is a hint for GCC alone.
            $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-unknown-pragmas>
            # Errors in errno and floating-point traps are not used; contraction to FMA is wanted. Nothing here
            # changes the meaning of NaN and infinity, which the finite checks rely on.
            $<$<COMPILE_LANGUAGE:CXX>:-fno-math-errno;-fno-trapping-math;-ffp-contract=fast>
            $<$<AND:$<COMPILE_LANGUAGE:CXX,C>,$<BOOL:${XLSTM_WERROR}>>:-Werror>
            $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>
            $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${XLSTM_WERROR}>>:-Werror=all-warnings;-Xcompiler=-Werror>)
  if(XLSTM_SANITIZE)
    # Under the address sanitizer GCC 12 takes std::regex for uninitialised (GCC bug 105562).
    target_compile_options(
      ${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX,C>:-fsanitize=${XLSTM_SANITIZE};-fno-omit-frame-pointer>
                        $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PUBLIC -fsanitize=${XLSTM_SANITIZE})
  endif()
endfunction()
