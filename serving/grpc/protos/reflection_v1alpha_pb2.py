# Compiled from reflection_v1alpha.proto by serving/grpc/protos/build.py.
# ruff: noqa: A002, E501, F401, I001, RUF023, RUF100, UP007, UP045
# fmt: off
from serving.grpc.protos.pool import define

define(globals(), (
    b'\n,serving/grpc/protos/reflection_v1alpha.proto\x12\x17grpc.reflection.v1alpha"\xf8\x02\n\x17ServerReflectionRequest\x12'
    b'\x12\n\x04host\x18\x01 \x01(\tR\x04host\x12*\n\x10file_by_filename\x18\x03 \x01(\tH\x00R\x0efileByFilename\x126\n\x16file_containing_symbol\x18\x04 \x01(\tH\x00R\x14f'
    b'ileContainingSymbol\x12g\n\x19file_containing_extension\x18\x05 \x01(\x0b2).grpc.reflection.v1alpha.ExtensionRequestH\x00R'
    b'\x17fileContainingExtension\x12B\n\x1dall_extension_numbers_of_type\x18\x06 \x01(\tH\x00R\x19allExtensionNumbersOfType\x12%\n\rlist'
    b'_services\x18\x07 \x01(\tH\x00R\x0clistServicesB\x11\n\x0fmessage_request"f\n\x10ExtensionRequest\x12\'\n\x0fcontaining_type\x18\x01 \x01(\tR\x0econ'
    b'tainingType\x12)\n\x10extension_number\x18\x02 \x01(\x05R\x0fextensionNumber"\xc7\x04\n\x18ServerReflectionResponse\x12\x1d\n\nvalid_host\x18\x01 '
    b'\x01(\tR\tvalidHost\x12[\n\x10original_request\x18\x02 \x01(\x0b20.grpc.reflection.v1alpha.ServerReflectionRequestR\x0foriginal'
    b'Request\x12k\n\x18file_descriptor_response\x18\x04 \x01(\x0b2/.grpc.reflection.v1alpha.FileDescriptorResponseH\x00R\x16fileDe'
    b'scriptorResponse\x12w\n\x1eall_extension_numbers_response\x18\x05 \x01(\x0b20.grpc.reflection.v1alpha.ExtensionNumberRe'
    b'sponseH\x00R\x1ballExtensionNumbersResponse\x12d\n\x16list_services_response\x18\x06 \x01(\x0b2,.grpc.reflection.v1alpha.List'
    b'ServiceResponseH\x00R\x14listServicesResponse\x12O\n\x0eerror_response\x18\x07 \x01(\x0b2&.grpc.reflection.v1alpha.ErrorRespo'
    b'nseH\x00R\rerrorResponseB\x12\n\x10message_response"L\n\x16FileDescriptorResponse\x122\n\x15file_descriptor_proto\x18\x01 \x03(\x0cR\x13f'
    b'ileDescriptorProto"j\n\x17ExtensionNumberResponse\x12$\n\x0ebase_type_name\x18\x01 \x01(\tR\x0cbaseTypeName\x12)\n\x10extension_num'
    b'ber\x18\x02 \x03(\x05R\x0fextensionNumber"Y\n\x13ListServiceResponse\x12B\n\x07service\x18\x01 \x03(\x0b2(.grpc.reflection.v1alpha.Service'
    b'ResponseR\x07service"%\n\x0fServiceResponse\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name"S\n\rErrorResponse\x12\x1d\n\nerror_code\x18\x01 \x01(\x05R\terror'
    b'Code\x12#\n\rerror_message\x18\x02 \x01(\tR\x0cerrorMessage2\x93\x01\n\x10ServerReflection\x12\x7f\n\x14ServerReflectionInfo\x120.grpc.reflec'
    b'tion.v1alpha.ServerReflectionRequest\x1a1.grpc.reflection.v1alpha.ServerReflectionResponse(\x010\x01b\x06proto3'
))
