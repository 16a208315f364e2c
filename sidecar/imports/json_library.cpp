// Boost.JSON's own code, once: so no library of it is needed besides its headers.
#include <boost/json/src.hpp>
