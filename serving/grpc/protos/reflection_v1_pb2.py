# Compiled from reflection_v1.proto by serving/grpc/protos/build.py.
# ruff: noqa: A002, E501, F401, I001, RUF023, RUF100, UP007, UP045
# fmt: off
from serving.grpc.protos.pool import define

define(globals(), (
    b'\n\'serving/grpc/protos/reflection_v1.proto\x12\x12grpc.reflection.v1"\xf3\x02\n\x17ServerReflectionRequest\x12\x12\n\x04host\x18\x01 '
    b'\x01(\tR\x04host\x12*\n\x10file_by_filename\x18\x03 \x01(\tH\x00R\x0efileByFilename\x126\n\x16file_containing_symbol\x18\x04 \x01(\tH\x00R\x14fileContain'
    b'ingSymbol\x12b\n\x19file_containing_extension\x18\x05 \x01(\x0b2$.grpc.reflection.v1.ExtensionRequestH\x00R\x17fileContaining'
    b'Extension\x12B\n\x1dall_extension_numbers_of_type\x18\x06 \x01(\tH\x00R\x19allExtensionNumbersOfType\x12%\n\rlist_services\x18\x07 \x01(\t'
    b'H\x00R\x0clistServicesB\x11\n\x0fmessage_request"f\n\x10ExtensionRequest\x12\'\n\x0fcontaining_type\x18\x01 \x01(\tR\x0econtainingType\x12)\n\x10'
    b'extension_number\x18\x02 \x01(\x05R\x0fextensionNumber"\xae\x04\n\x18ServerReflectionResponse\x12\x1d\n\nvalid_host\x18\x01 \x01(\tR\tvalidHost\x12'
    b'V\n\x10original_request\x18\x02 \x01(\x0b2+.grpc.reflection.v1.ServerReflectionRequestR\x0foriginalRequest\x12f\n\x18file_desc'
    b'riptor_response\x18\x04 \x01(\x0b2*.grpc.reflection.v1.FileDescriptorResponseH\x00R\x16fileDescriptorResponse\x12r\n\x1eall_e'
    b'xtension_numbers_response\x18\x05 \x01(\x0b2+.grpc.reflection.v1.ExtensionNumberResponseH\x00R\x1ballExtensionNumbersR'
    b"esponse\x12_\n\x16list_services_response\x18\x06 \x01(\x0b2'.grpc.reflection.v1.ListServiceResponseH\x00R\x14listServicesResp"
    b'onse\x12J\n\x0eerror_response\x18\x07 \x01(\x0b2!.grpc.reflection.v1.ErrorResponseH\x00R\rerrorResponseB\x12\n\x10message_response'
    b'"L\n\x16FileDescriptorResponse\x122\n\x15file_descriptor_proto\x18\x01 \x03(\x0cR\x13fileDescriptorProto"j\n\x17ExtensionNumberRes'
    b'ponse\x12$\n\x0ebase_type_name\x18\x01 \x01(\tR\x0cbaseTypeName\x12)\n\x10extension_number\x18\x02 \x03(\x05R\x0fextensionNumber"T\n\x13ListServic'
    b'eResponse\x12=\n\x07service\x18\x01 \x03(\x0b2#.grpc.reflection.v1.ServiceResponseR\x07service"%\n\x0fServiceResponse\x12\x12\n\x04name\x18'
    b'\x01 \x01(\tR\x04name"S\n\rErrorResponse\x12\x1d\n\nerror_code\x18\x01 \x01(\x05R\terrorCode\x12#\n\rerror_message\x18\x02 \x01(\tR\x0cerrorMessage2\x89\x01\n'
    b'\x10ServerReflection\x12u\n\x14ServerReflectionInfo\x12+.grpc.reflection.v1.ServerReflectionRequest\x1a,.grpc.reflec'
    b'tion.v1.ServerReflectionResponse(\x010\x01b\x06proto3'
))
