# setget_settings(target): how all of setget's own code is compiled. Nothing of it reaches users of the targets.
function(setget_settings target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                                             POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
  # GCC 12 sees overlapping copies in std::string's own operator+ (gcc.gnu.org bug 105651).
  target_compile_options(${target} PRIVATE $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
  if(SETGET_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(SETGET_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${SETGET_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${SETGET_SANITIZE})
  endif()
endfunction()

# setget_separate(files …): files of this directory whose own names another file of the target has too, so that a unity build (the sanitizer
# presets, to compile in a third of the time) compiles them by themselves.
function(setget_separate)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# setget_room(name SOURCES … LINKS …): an object library of one room under src/. LINKS are the libraries its sources include.
function(setget_room name)
  cmake_parse_arguments(room "" "" "SOURCES;LINKS" ${ARGN})
  add_library(setget-room-${name} OBJECT ${room_SOURCES})
  setget_settings(setget-room-${name})
  if(SETGET_SANITIZE)
    # Tests spend their time here, and are not worth the compiler's own: the other way round for their own files.
    target_compile_options(setget-room-${name} PRIVATE -O1)
  endif()
  target_include_directories(setget-room-${name} PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(setget-room-${name} PRIVATE ${room_LINKS})
endfunction()

# setget_library(component ROOMS … LINKS … PUBLIC_LINKS …): an installable library made of rooms. Of LINKS only what is linked counts:
# header-only libraries concern the rooms alone, and users of setget need not have them.
function(setget_library component)
  cmake_parse_arguments(lib "" "" "ROOMS;LINKS;PUBLIC_LINKS" ${ARGN})
  set(target setget-${component})
  set(objects "")
  foreach(room ${lib_ROOMS})
    list(APPEND objects $<TARGET_OBJECTS:setget-room-${room}>)
  endforeach()
  set(links "")
  foreach(link ${lib_LINKS})
    get_target_property(type ${link} TYPE)
    get_target_property(behind ${link} INTERFACE_LINK_LIBRARIES)
    if(NOT type STREQUAL "INTERFACE_LIBRARY" OR behind)
      list(APPEND links ${link})
    endif()
  endforeach()
  add_library(${target} ${objects})
  add_library(setget::${component} ALIAS ${target})
  setget_settings(${target})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX EXPORT_NAME ${component} VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_link_libraries(${target} PUBLIC ${lib_PUBLIC_LINKS} PRIVATE ${links})
  if(BUILD_SHARED_LIBS AND NOT SETGET_SANITIZE)
    # Instantiations of standard templates have default visibility; only setget's own names leave the library.
    target_link_options(${target} PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map")
    set_target_properties(${target} PROPERTIES LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/exports.map")
  endif()
  set_property(GLOBAL APPEND PROPERTY SETGET_COMPONENTS ${component})
endfunction()
