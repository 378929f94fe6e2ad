"""Bodies that are not JSON: content codings, arrays, tables, pictures. Functions of bytes; whoever calls decides in which thread."""
